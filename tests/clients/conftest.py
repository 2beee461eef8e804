"""One live hub for all tests of a worker, with the real packages in a private and in a public channel.

It stops after the last of these tests: idle, it takes most of a processor second each minute.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rattler_build import BuildResult, Stage0Recipe, upload_package_to_prefix

from tests.archives import CONDA_BUILD_PACKAGES, SHARED_PACKAGES
from tests.live import LiveHub
from tests.stack import client_hub

RECIPE = """
package: {name: built-here, version: 1.2.3}
build:
  noarch: generic
  script: mkdir -p $PREFIX/share && echo hello > $PREFIX/share/built-here.txt
about: {summary: built on the spot, license: MIT}
"""

Figure = Callable[[str, object], None]


@dataclass(frozen=True)
class Keys:
    """API keys of three users: Olga owns every channel, Vera may only read `private`, Sam has no rights."""

    olga: str
    olga_read_only: str
    vera: str
    sam: str


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with client_hub(tmp_path_factory.mktemp("hub")) as hub:
        hub.shell("for name in ('olga', 'vera', 'sam'): User.objects.create_user(name)")
        yield hub


@pytest.fixture(scope="package")
def channels(hub: LiveHub) -> tuple[str, str]:
    """Create a private and a public channel."""
    hub.manage("createchannel", "private", "--owner", "olga")
    hub.manage("createchannel", "public", "--owner", "olga", "--public")
    vera = "channel=Channel.objects.get(name='private'), user=User.objects.get(username='vera')"
    hub.shell(f"Member.objects.create({vera}, role='viewer')")
    return "private", "public"


@pytest.fixture(scope="package")
def keys(hub: LiveHub) -> Keys:
    read, upload = ("--scope", "read"), ("--scope", "upload")

    def make(user: str, *scopes: str) -> str:
        return hub.manage("createapikey", user, "--name", "test", *scopes)

    return Keys(
        olga=make("olga", *read, *upload),
        olga_read_only=make("olga", *read),
        vera=make("vera", *read, *upload),
        sam=make("sam", *read, *upload),
    )


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return every real package, and one that was built for this run."""
    shared = sorted(path for path in SHARED_PACKAGES.glob("*/*") if path.name.endswith((".conda", ".tar.bz2")))
    return [*shared, *CONDA_BUILD_PACKAGES, *build_package(tmp_path_factory.mktemp("built")).packages]


@pytest.fixture(scope="package")
def filled(hub: LiveHub, channels: tuple[str, str], keys: Keys, packages: list[Path]) -> dict[str, float]:
    """Upload all packages to both channels with the real client. Return channel → seconds of the upload."""
    return {channel: seconds_to_upload(hub, channel, packages, keys.olga) for channel in channels}


@pytest.fixture
def figure(record_property: Figure, request: pytest.FixtureRequest) -> Figure:
    """Return a function that reports a measured figure: in the XML report and in the output of `pytest -rP`."""

    def note(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{request.node.name}: {name}: {value}")  # noqa: T201

    return note


def build_package(folder: Path) -> BuildResult:
    """Build a package from a recipe with rattler-build."""
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE)
    [variant] = Stage0Recipe.from_file(recipe).render()
    return variant.run_build(output_dir=folder / "output", channels=[])


def seconds_to_upload(hub: LiveHub, channel: str, files: list[Path], key: str) -> float:
    begun = time.monotonic()
    upload_package_to_prefix([str(file) for file in files], hub.url, channel, api_key=key)
    return time.monotonic() - begun
