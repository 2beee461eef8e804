"""Clients of quetz: rattler-build's `upload quetz`, and quetz-client with its commands.

Both hide the hub's sentence when they are refused. quetz-client shows the status, and py-rattler-build not even that.
The sentences are those of the prefix protocol, see test_uploading.py.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rattler_build import RattlerBuildError, upload_package_to_quetz

from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import fetched, seconds_until_indexed
from tests.clients.reader import Reader
from tests.clients.test_uploading import two_of_one_name
from tests.live import LiveHub

QUETZ_CLIENT = str(Path(sys.executable).with_name("quetz-client"))
CLIENT_S = 120

Upload = Callable[[LiveHub, str, Path, str], str]


@pytest.fixture(scope="package")
def channel(hub: LiveHub, keys: Keys) -> str:
    """Create a private channel in which Vera may only read."""
    hub.manage("createchannel", "from-quetz", "--owner", "olga")
    vera = "channel=Channel.objects.get(name='from-quetz'), user=User.objects.get(username='vera')"
    hub.shell(f"Member.objects.create({vera}, role='viewer')")
    return "from-quetz"


def by_rattler(hub: LiveHub, channel: str, file: Path, key: str) -> str:
    """Upload by rattler-build. Return its error message; empty if it succeeded."""
    try:
        upload_package_to_quetz([str(file)], hub.url, channel, api_key=key)
    except RattlerBuildError as error:
        return str(error)
    return ""


def by_quetz_client(hub: LiveHub, channel: str, file: Path, key: str) -> str:
    """Upload by quetz-client. Return its error message; empty if it succeeded."""
    done = run(hub, key, "post_file_to_channel", channel, str(file))
    return done.stderr if done.returncode else ""


def run(hub: LiveHub, key: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [QUETZ_CLIENT, "--url", hub.url, "--token", key, *command],
        capture_output=True,
        text=True,
        timeout=CLIENT_S,
        check=False,
    )


HIDDEN = "Server responded with error"
both = pytest.mark.parametrize("upload", [by_rattler, by_quetz_client])


@both
def test_package_is_published_once_and_installed(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, upload: Upload
) -> None:
    name = upload.__name__.replace("_", "-")
    package = make_conda(tmp_path, name=name, files={f"share/{name}.txt": name.encode()})
    assert upload(hub, channel, package, keys.olga) == ""
    assert upload(hub, channel, package, keys.olga) == ""
    seconds_until_indexed(hub, channel, "noarch", [package.name], keys.olga)
    for address in (f"{hub.url}/{channel}", f"{hub.url}/get/{channel}"):
        installed = Reader(address, {"BearerToken": keys.olga}).install(name)
        assert installed[f"share/{name}.txt"] == name
    assert fetched(hub, f"/t/{keys.olga}/get/{channel}/noarch/{package.name}", None) == package.read_bytes()


@both
def test_refused_upload_fails_and_the_client_hides_the_sentence(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, upload: Upload
) -> None:
    package = make_conda(tmp_path, name=f"no-{upload.__name__.replace('_', '-')}")
    (tmp_path / "other").mkdir()
    other = make_conda(tmp_path / "other", name=package.name.removesuffix("-1.0-0.conda"), files={"share/x": b"x"})
    assert upload(hub, channel, package, keys.olga) == ""
    cut = make_conda(tmp_path, name="cut")
    cut.write_bytes(cut.read_bytes()[:-100])
    for place, file, key, status in (
        (channel, other, keys.olga, "409"),
        (channel, package, "wrong", "401"),
        (channel, package, keys.vera, "403"),
        (channel, package, keys.sam, "403"),
        ("nowhere", package, keys.olga, "403"),
        (channel, cut, keys.olga, "422"),
    ):
        said = upload(hub, place, file, key)
        assert said == HIDDEN if upload is by_rattler else f" {status} Client Error" in said, (status, said)
        assert not any(word in said for word in ("exists with other bytes", "its keys begin", "Ask an owner"))
    assert fetched(hub, f"/{channel}/noarch/{package.name}", keys.olga) == package.read_bytes()


def test_force_of_quetz_client_replaces_where_the_channel_allows_it(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path
) -> None:
    hub.manage("createchannel", "quetz-nightly", "--owner", "olga")
    hub.shell("Channel.objects.filter(name='quetz-nightly').update(allow_overwrite=True)")
    for package in two_of_one_name(tmp_path):
        done = run(hub, keys.olga, "post_file_to_channel", "quetz-nightly", str(package), "--force")
        assert done.returncode == 0, done.stderr
    assert fetched(hub, f"/quetz-nightly/noarch/{package.name}", keys.olga) == package.read_bytes()
    done = run(hub, keys.olga, "post_file_to_channel", channel, str(package), "--force")
    assert "403" in done.stderr


def test_reading_commands_of_quetz_client_work(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    assert by_quetz_client(hub, channel, make_conda(tmp_path, name="listed"), keys.olga) == ""
    key = hub.manage("createapikey", "olga", "--name", "test", "--scope", "read", "--scope", "manage")
    for command, shown in (
        (["yield_channels"], channel),
        (["yield_channels", "quetz", "1"], channel),
        (["yield_packages", channel, "listed"], "listed"),
        (["yield_channel_members", channel], "olga"),
        (["yield_users"], "olga"),
        (["get_role", "olga"], "member"),
    ):
        done = run(hub, key, *command)
        assert (done.returncode, shown in done.stdout) == (0, True), (command, done.stdout, done.stderr)


def test_commands_of_quetz_client_that_need_a_person_are_refused(hub: LiveHub, channel: str, keys: Keys) -> None:
    for command in (
        ["set_channel", "another"],
        ["delete_channel", channel],
        ["set_channel_member", "sam", "member", channel],
        ["delete_channel_member", "vera", channel],
        ["set_role", "sam", "owner"],
    ):
        done = run(hub, keys.olga, *command)
        assert "403" in done.stderr, (command, done.stdout, done.stderr)
