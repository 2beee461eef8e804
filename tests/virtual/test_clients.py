"""A virtual channel and its members in strict priority, as py-rattler solves with them in each form of the index."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from pytest_django.live_server_helper import LiveServer
from rattler import Channel as Address
from rattler import Gateway, SourceConfig, Subdir, solve
from rattler.exceptions import SolverError

from channels_app.models import Channel
from tests.builders import make_artifact, make_channel, make_user
from tests.virtual.channels import build_all, make_virtual

pytestmark = pytest.mark.django_db(transaction=True)

FORMS = {
    "shards": SourceConfig(sharded_enabled=True),
    "zst": SourceConfig(sharded_enabled=False, zstd_enabled=True),
    "plain JSON": SourceConfig(sharded_enabled=False, zstd_enabled=False),
}
SPECS = 70
NAMES = [f"pack{n}" for n in range(12)]
PLATFORMS = ("noarch", "linux-64")


def fill(channel: Channel, random: Random) -> None:
    """Add some versions of most names, with dependencies that often can be met."""
    for name in NAMES:
        for version in random.sample(range(1, 5), k=random.choice((0, 1, 2, 3))):
            depends = [
                f"{other} >={random.randrange(1, 4)}" for other in random.sample(NAMES, k=random.choice((0, 0, 1, 2)))
            ]
            make_artifact(
                channel,
                name,
                f"{version}.0",
                channel.name,
                subdir=random.choice(PLATFORMS),
                index_json={"depends": depends},
            )


def request(random: Random) -> dict[str, str]:
    """Return name → version spec of one or two names."""
    return {name: random.choice(("*", ">=2", "<4", "==3.0")) for name in random.sample(NAMES, k=random.choice((1, 2)))}


async def solution(gateway: Gateway, addresses: list[str], versions: dict[str, str]) -> list[str]:
    """Return the solution; no files if there is none.

    The versions are constraints: rattler leaves out the records that a spec excludes before it asks which channel has
    the name.
    """
    platforms = [Subdir(each) for each in PLATFORMS]
    constraints = [f"{name} {version}" for name, version in versions.items()]
    try:
        found = await solve(
            [Address(url) for url in addresses], list(versions), gateway, platforms, constraints=constraints
        )
    except SolverError:
        return []
    return sorted(record.file_name for record in found)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_virtual_channel_solves_as_its_members_in_strict_priority(
    live_server: LiveServer, tmp_path: Path, form: SourceConfig
) -> None:
    owner, random = make_user("olga"), Random(16)
    for name in ("first", "second"):
        fill(make_channel(name, is_private=False), random)
    make_virtual(owner, "first", "second")
    build_all()

    async def compare() -> list[tuple[list[str], list[str]]]:
        gateway = Gateway(cache_dir=tmp_path / "cache", default_config=form)
        apart, merged = [f"{live_server.url}/first", f"{live_server.url}/second"], [f"{live_server.url}/all"]
        requests = [request(random) for _ in range(SPECS)]
        return [(await solution(gateway, apart, each), await solution(gateway, merged, each)) for each in requests]

    results = asyncio.run(compare())
    assert [merged for _, merged in results] == [apart for apart, _ in results]
    solved = [apart for apart, _ in results if apart]
    assert SPECS / 4 < len(solved) < SPECS
    assert {file.rpartition("-")[2] for files in solved for file in files} == {"first.conda", "second.conda"}
