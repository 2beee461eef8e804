"""Uploads to a wrong URL or to a full disk: the client stops at once and shows the reason."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub.sizes import MIB
from tests.archives import make_conda
from tests.clients.conftest import Figure, Keys
from tests.clients.plain import ask, upload
from tests.clients.relay import relay
from tests.clients.uploader import UploadError, upload_signed_in
from tests.live import LiveHub, live_hub
from tests.nginx import fronted
from tests.stack import DELIVERY

LARGE_BYTES = 30_000_000
# Most bytes that a client sends before it reads an early response: the buffers of both ends.
BUFFERS_BYTES = 12_000_000
DISK_BYTES = 16 * MIB

with_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed.")


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    return make_conda(folder, name="large", files={"junk": os.urandom(LARGE_BYTES)}, compress=lambda tar: tar)


@pytest.mark.parametrize("path", ["/slips", "/slips/", "/conda/", "/demo/noarch/"])
def test_address_with_a_path_stops_rattler_at_once_and_is_named(
    hub: LiveHub, keys: Keys, large: Path, path: str, figure: Figure
) -> None:
    said = stopped_at_once(hub, "slips", large, keys.olga, figure, path=path)
    # nginx answers before the hub: it accepts large bodies only at upload URLs.
    named = ["HTTP 413", "/api/v1/upload/CHANNEL"] if DELIVERY else ["HTTP 404", "/api/v1/upload/slips", "without"]
    assert [words for words in named if words not in said] == []


@with_curl
@pytest.mark.parametrize(
    "path",
    ["/slips/", "/slips/other/", "/slips", "/", "/api/v1/upload/slips/", "//api/v1/upload/slips", "/channels/slips"],
)
@pytest.mark.parametrize("option", ["--upload-file", "--form", "--data-binary"])
def test_curl_at_a_wrong_address_shows_where_uploads_go(
    hub: LiveHub, keys: Keys, large: Path, path: str, option: str
) -> None:
    value = {"--upload-file": str(large), "--form": f"file=@{large}", "--data-binary": f"@{large}"}[option]
    command = ["curl", "--silent", "--show-error", "--user", f"me:{keys.olga}", option, value, hub.url + path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "/api/v1/upload/" in done.stdout, done.stderr
    assert "<html" not in done.stdout


@with_curl
def test_key_as_the_user_name_of_the_address_reads(hub: LiveHub, keys: Keys) -> None:
    hub.manage("createchannel", "as-user", "--owner", "olga")
    for user in (keys.olga, f"{keys.olga}:x-oauth-basic", f"{keys.olga}:"):
        url = f"{hub.url.replace('://', f'://{user}@')}/as-user/noarch/repodata.json"
        done = subprocess.run(["curl", "--silent", "--fail", url], capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stdout[:1]) == (0, b"{")


@with_curl
@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed.")
def test_nginx_reads_large_bodies_for_upload_addresses_alone(
    hub: LiveHub, keys: Keys, large: Path, tmp_path: Path
) -> None:
    with fronted(hub, tmp_path) as front:
        for path in (
            "/slips/noarch/",
            "/api/v1/upload/slips/",
            "/api/v1/upload/slips/noarch/",
            "/slips/api/v1/upload/x",
        ):
            headers = ("--header", f"Authorization: Bearer {keys.olga}")
            command = ["curl", "--silent", "--data-binary", f"@{large}", *headers, front.url + path]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            assert "The body is too large" in done.stdout
            assert "/api/v1/upload/CHANNEL" in done.stdout
        hub.manage("createchannel", "behind", "--owner", "olga")
        # The hub has read the whole body and found that it is not a package.
        assert upload(front, "behind", large, keys.olga).headers["X-Error-Code"] == "bad_package"


def test_full_disk_stops_rattler_at_once_and_is_named(tmp_path: Path, large: Path, figure: Figure) -> None:
    with live_hub(tmp_path) as hub, small_disk(hub.data_dir / "uploads"):
        hub.shell("User.objects.create_user('olga')")
        hub.manage("createchannel", "demo", "--owner", "olga")
        key = hub.manage("createapikey", "olga", "--name", "test", "--scope", "upload")
        said = stopped_at_once(hub, "demo", large, key, figure)
        assert "HTTP 413" in said
        assert "The hub's disk is full." in said

        # Without Content-Length the hub notices it only when the disk is full.
        answer = ask(hub, "/api/v1/upload/demo", key, method="POST", body=(bytes(100_000) for _ in range(300)))
        assert (answer.status, answer.headers["X-Error-Code"]) == (413, "disk_full")
        assert upload(hub, "demo", make_conda(tmp_path, name="small"), key).status == 201


def test_quota_stops_rattler_at_once_and_is_named(tmp_path: Path, large: Path, figure: Figure) -> None:
    with live_hub(tmp_path, HUB_USER_BYTES="1000000", HUB_USER_PACKAGES_A_DAY="1") as hub:
        hub.shell("User.objects.create_user('olga')")
        hub.manage("createchannel", "demo", "--owner", "olga")
        key = hub.manage("createapikey", "olga", "--name", "test", "--scope", "upload")
        said = stopped_at_once(hub, "demo", large, key, figure)
        assert "HTTP 413" in said
        assert "The channels of olga hold 0 B, and this package has " in said

        # Without Content-Length the hub notices it at the end of the body.
        sound = make_conda(tmp_path, name="sound", files={"junk": os.urandom(2_000_000)})
        name = {"X-File-Name": sound.name}
        answer = ask(hub, "/api/v1/upload/demo", key, method="POST", body=iter([sound.read_bytes()]), headers=name)
        assert (answer.status, answer.headers["X-Error-Code"]) == (413, "quota_bytes")
        upload_signed_in(hub, "demo", make_conda(tmp_path, name="small"), {"BearerToken": key})
        second = make_conda(tmp_path, name="second")
        with relay(hub.port) as between, pytest.raises(UploadError, match="1 package uploaded to the channels of olga"):
            upload_signed_in(SimpleNamespace(url=between.url), "demo", second, {"BearerToken": key})  # type: ignore[arg-type]
        assert len(between.sent) == 1


def stopped_at_once(hub: LiveHub, channel: str, large: Path, key: str, figure: Figure, *, path: str = "") -> str:
    """Check that rattler stops a refused upload early and doesn't retry. Return its error message."""
    with relay(hub.port) as between:
        place = SimpleNamespace(url=between.url + path)
        with pytest.raises(UploadError) as caught:
            upload_signed_in(place, channel, large, {"BearerToken": key})  # type: ignore[arg-type]
        figure(f"requests, bytes sent of {large.stat().st_size}", between.sent)
    assert len(between.sent) == 1
    assert between.sent[0] < BUFFERS_BYTES
    return str(caught.value)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a disk of 16 MiB at `folder`. Skip the test if that is not permitted."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("A disk can be mounted by root alone.")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
