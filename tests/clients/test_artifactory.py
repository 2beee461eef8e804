"""Clients of Artifactory: rattler-build's `upload artifactory`, and `curl -T`.

py-rattler-build hides the hub's sentence and the status when it is refused. curl shows the sentence.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from rattler_build import RattlerBuildError, upload_package_to_artifactory, upload_package_to_quetz

from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import ask, fetched, seconds_until_indexed
from tests.clients.reader import Reader
from tests.live import LiveHub
from tests.nginx import fronted

LARGE_BYTES = 3_000_000
PREFIXES = ["", "/artifactory", "/artifactory/api/conda"]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed.")


@pytest.fixture(scope="package")
def channel(hub: LiveHub, keys: Keys) -> str:
    """Create a private channel in which Vera may only read."""
    hub.manage("createchannel", "from-artifactory", "--owner", "olga")
    vera = "channel=Channel.objects.get(name='from-artifactory'), user=User.objects.get(username='vera')"
    hub.shell(f"Member.objects.create({vera}, role='viewer')")
    return "from-artifactory"


def by_rattler(hub: LiveHub, channel: str, file: Path, key: str, prefix: str = "") -> str:
    """Upload by rattler-build. Return its error message; empty if it succeeded."""
    try:
        upload_package_to_artifactory([str(file)], hub.url + prefix, channel, token=key)
    except RattlerBuildError as error:
        return str(error)
    return ""


def curl(url: str, file: Path, *options: str) -> str:
    """Upload by `curl -T` and return the hub's answer."""
    command = ["curl", "--silent", "--show-error", *options, "-T", str(file), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("prefix", PREFIXES)
def test_package_by_rattler_is_published_once_and_installed(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, prefix: str
) -> None:
    name = f"rattler{prefix.count('/')}"
    package = make_conda(tmp_path, name=name, files={f"share/{name}.txt": name.encode()})
    assert by_rattler(hub, channel, package, keys.olga, prefix) == ""
    assert by_rattler(hub, channel, package, keys.olga, prefix) == ""
    seconds_until_indexed(hub, channel, "noarch", [package.name], keys.olga)
    installed = Reader(f"{hub.url}{prefix}/{channel}", {"BearerToken": keys.olga}).install(name)
    assert installed[f"share/{name}.txt"] == name


def test_refused_upload_by_rattler_fails_and_hides_the_sentence(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path
) -> None:
    package = make_conda(tmp_path, name="refused")
    (tmp_path / "other").mkdir()
    other = make_conda(tmp_path / "other", name="refused", files={"share/x": b"x"})
    assert by_rattler(hub, channel, package, keys.olga) == ""
    for place, file, key in (
        (channel, other, keys.olga),
        (channel, package, "wrong"),
        (channel, package, keys.vera),
        ("nowhere", package, keys.olga),
    ):
        assert by_rattler(hub, place, file, key) == "Server responded with error"
    assert fetched(hub, f"/{channel}/noarch/{package.name}", keys.olga) == package.read_bytes()


@pytest.mark.parametrize("is_chunked", [False, True], ids=["with Content-Length", "chunked"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_package_by_curl_is_published(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path, prefix: str, *, is_chunked: bool
) -> None:
    """The package is large, so that curl waits for `100 Continue`."""
    name = f"curl{prefix.count('/')}{is_chunked:d}"
    package = make_conda(tmp_path, name=name, files={"junk": os.urandom(LARGE_BYTES)})
    options = ["--user", f"me:{keys.olga}", *(["--header", "Transfer-Encoding: chunked"] if is_chunked else [])]
    said = curl(f"{hub.url}{prefix}/{channel}/noarch/", package, *options)
    assert said == f"{channel}/noarch/{package.name} published.\n"
    said = curl(f"{hub.url}{prefix}/{channel}/noarch/{package.name}", package, *options)
    assert said == f"{channel}/noarch/{package.name} exists already.\n"
    assert fetched(hub, f"/{channel}/noarch/{package.name}", keys.olga) == package.read_bytes()


def test_package_by_curl_with_every_credential_is_published(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path
) -> None:
    package, url = make_conda(tmp_path, name="credentials"), f"{hub.url}/{channel}/noarch/"
    for options in (
        ("--user", f"{keys.olga}:"),
        ("--header", f"X-JFrog-Art-Api: {keys.olga}"),
        ("--header", f"X-API-Key: {keys.olga}"),
        ("--header", f"Authorization: Bearer {keys.olga}"),
    ):
        assert f"{channel}/noarch/{package.name}" in curl(url, package, *options)


def test_refused_upload_by_curl_shows_the_sentence(hub: LiveHub, channel: str, keys: Keys, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="shown", files={"junk": os.urandom(LARGE_BYTES)})
    (tmp_path / "other").mkdir()
    other = make_conda(tmp_path / "other", name="shown")
    cut = make_conda(tmp_path, name="cut")
    cut.write_bytes(cut.read_bytes()[:-100])
    url = f"{hub.url}/{channel}/noarch/"
    assert curl(url, package, "--user", f"me:{keys.olga}").endswith("published.\n")
    for place, file, key, sentence in (
        (url, other, keys.olga, "exists with other bytes"),
        (url, package, "wrong", "its keys begin with 'chub-'"),
        (url, package, keys.vera, "vera may read 'from-artifactory' but not upload there"),
        (f"{hub.url}/nowhere/noarch/", package, keys.olga, "or there is no such channel"),
        (url, cut, keys.olga, "cut-1.0-0.conda was refused: "),
        (f"{hub.url}/{channel}/linux-64/", package, keys.olga, "was sent to the subdir 'linux-64'"),
        (f"{url}{package.name}?force=true", package, keys.olga, "does not allow force=true"),
    ):
        said = curl(place, file, "--user", f"me:{key}")
        assert sentence in said, (sentence, said)
        assert "<html" not in said


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed.")
def test_upload_through_nginx_is_checked_before_its_body(
    hub: LiveHub, channel: str, keys: Keys, tmp_path: Path
) -> None:
    package = make_conda(tmp_path, name="behind", files={"junk": os.urandom(LARGE_BYTES)})
    with fronted(hub, tmp_path) as front:
        for prefix in PREFIXES:
            assert by_rattler(front, channel, package, keys.olga, prefix) == ""
            url = f"{front.url}{prefix}/{channel}/noarch/"
            chunked = ("--header", "Transfer-Encoding: chunked")
            assert curl(url, package, "--user", f"me:{keys.olga}", *chunked).endswith("exists already.\n")
            said = curl(url, package, "--user", f"me:{keys.vera}", *chunked)
            assert "vera may read 'from-artifactory' but not upload there" in said
            assert fetched(front, f"{prefix}/{channel}/noarch/{package.name}", keys.olga) == package.read_bytes()
        answer = ask(front, f"/{channel}/noarch/{package.name}", keys.olga_read_only, method="DELETE")
        assert (answer.status, answer.headers["X-Error-Code"]) == (405, "no_delete_here")
        upload_package_to_quetz([str(package)], front.url, channel, api_key=keys.olga)
