"""The anaconda protocol by its clients: anaconda-client, in an environment of its own, and rattler-build."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rattler_build import RattlerBuildError, upload_package_to_anaconda

from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import ask, fetched, seconds_until_indexed
from tests.clients.reader import Reader
from tests.live import LiveHub

REQUIREMENTS = Path(__file__).with_name("anaconda-client.txt")
UV = Path(sys.executable).with_name("uv")
FORKING = Path(__file__).with_name("forking.py")
Anaconda = Callable[..., tuple[int, str]]


@pytest.fixture(scope="package")
def anaconda(hub: LiveHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Anaconda]:
    """Install anaconda-client, with the hub as its site. Yield a function that runs a command with a key."""
    folder = tmp_path_factory.mktemp("anaconda-client")
    subprocess.run([UV, "venv", "-q", f"{folder}/venv"], check=True)
    install = [
        str(UV),
        "pip",
        "install",
        "-q",
        "--require-hashes",
        "--python",
        f"{folder}/venv",
        "-r",
        f"{REQUIREMENTS}",
    ]
    subprocess.run(install, check=True)
    # It breaks no line of a terminal of this width. Telemetry takes half of a command's time.
    options = {"COLUMNS": "1000", "ANACONDA_TELEMETRY_ENABLED": "false"}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | options
    program = [f"{folder}/venv/bin/python", str(FORKING), "anaconda_cli_base.cli", "app"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, env=environment, **pipes) as client:
        requests, codes = client.stdin, client.stdout
        assert requests
        assert codes

        def run(key: str, *words: str | Path) -> tuple[int, str]:
            """Return the exit code and the output."""
            output = folder / "output"
            output.unlink(missing_ok=True)
            more = {"ANACONDA_API_TOKEN": key} if key else {}
            request = [[str(word) for word in words], environment | more, str(Path.cwd()), str(output)]
            requests.write(json.dumps(request) + "\n")
            requests.flush()
            return int(codes.readline()), output.read_text()

        run("", "config", "--set", "sites.hub.url", f"{hub.url}/anaconda")
        yield lambda key, *words: run(key, "-s", "hub", *words)


@pytest.fixture(scope="module")
def everything(hub: LiveHub) -> str:
    """Return a key of Olga's with all scopes, and create the channels `ana` and `copies`."""
    for channel in ("ana", "copies"):
        hub.manage("createchannel", channel, "--owner", "olga")
    scopes = [word for scope in ("read", "upload", "delete") for word in ("--scope", scope)]
    return hub.manage("createapikey", "olga", "--name", "test", *scopes)


def test_anaconda_client_uploads_and_shows_packages(
    hub: LiveHub, anaconda: Anaconda, everything: str, tmp_path: Path
) -> None:
    package = make_conda(tmp_path, name="by-client", files={"share/hello.txt": b"hello\n"})
    code, output = anaconda(everything, "upload", "-u", "ana", package)
    assert (code, f"{hub.url}/channels/ana/packages/by-client" in output) == (0, True), output
    assert fetched(hub, f"/ana/noarch/{package.name}", everything) == package.read_bytes()
    code, output = anaconda(everything, "upload", "-u", "ana", "--skip-existing", package)
    assert (code, "already exists. Skipping upload." in output) == (0, True), output
    for spec, shown in (("ana", "ana/by-client"), ("ana/by-client", "+ 1.0"), ("ana/by-client/1.0", package.name)):
        code, output = anaconda(everything, "show", spec)
        assert (code, shown in output) == (0, True), output
    seconds_until_indexed(hub, "ana", "noarch", [package.name], everything)
    reader = Reader(f"{hub.url}/ana", {"BearerToken": everything})
    assert reader.install("by-client")["share/hello.txt"] == "hello\n"


def test_anaconda_client_copies_downloads_and_removes_packages(
    hub: LiveHub, anaconda: Anaconda, everything: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = make_conda(tmp_path, name="to-copy")
    anaconda(everything, "upload", "-u", "ana", package)
    code, output = anaconda(everything, "copy", "ana/to-copy/1.0", "--to-owner", "copies")
    assert (code, "Copied 1 files!" in output) == (0, True), output
    code, output = anaconda(everything, "remove", "-f", "ana/to-copy/1.0")
    assert code == 0, output
    assert ask(hub, f"/ana/noarch/{package.name}", everything).status == 404
    monkeypatch.chdir(tmp_path)
    code, output = anaconda(everything, "download", "copies/to-copy")
    assert (tmp_path / "noarch" / package.name).read_bytes() == package.read_bytes(), output


def test_anaconda_client_changes_labels(hub: LiveHub, anaconda: Anaconda, everything: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="labeled", files={"share/hello.txt": b"hello\n"})
    file, spec = f"ana/labeled/1.0/noarch/{package.name}", "ana/labeled/1.0"
    of_ana = ("label", "-o", "ana")
    for words, shown in (
        (("upload", "-u", "ana", "--label", "dev", "--label", "rc", package), "/channels/ana/packages/labeled"),
        ((*of_ana, "--list"), "+ rc"),
        ((*of_ana, "--show", "dev"), file),
        (("move", spec, "--from-label", "rc", "--to-label", "Beta"), ""),
        ((*of_ana, "--show", "beta"), file),
        (("copy", spec, "--to-owner", "ana", "--from-label", "dev", "--to-label", "test"), "Copied 1 files!"),
        ((*of_ana, "--copy", "test", "nightly"), "Copied label test to nightly"),
        ((*of_ana, "--show", "nightly"), file),
        ((*of_ana, "--remove", "test"), "Removed label test"),
        (("copy", spec, "--to-owner", "copies", "--from-label", "dev"), "Copied 1 files!"),
        (("copy", spec, "--to-owner", "copies", "--from-label", "dev", "--to-label", "rc"), "Copied 1 files!"),
        (("label", "-o", "copies", "--show", "rc"), f"copies/labeled/1.0/noarch/{package.name}"),
    ):
        code, output = anaconda(everything, *words)
        assert (code, shown in output, "Traceback" in output) == (0, True, False), (words, output)
    assert "test" not in anaconda(everything, *of_ana, "--list")[1]
    assert file not in anaconda(everything, *of_ana, "--show", "rc")[1]
    assert file not in anaconda(everything, *of_ana, "--show", "main")[1]
    reader = Reader(f"{hub.url}/ana/label/nightly", {"BearerToken": everything})
    seconds_until_indexed(hub, "ana/label/nightly", "noarch", [package.name], everything)
    assert reader.install("labeled")["share/hello.txt"] == "hello\n"


def test_anaconda_client_shows_refused_changes_of_labels(anaconda: Anaconda, everything: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="sole")
    anaconda(everything, "upload", "-u", "ana", "--label", "sole", package)
    for words, sentence in (
        (("label", "-o", "ana", "--lock", "sole"), "Labels can't be locked."),
        (("label", "-o", "ana", "--unlock", "sole"), "Labels can't be locked."),
        (("label", "-o", "ana", "--remove", "sole"), "1 file has no other label than 'sole'."),
        (("label", "-o", "ana", "--remove", "main"), "'main' is the channel itself"),
        (("label", "-o", "ana", "--show", "gone"), "'ana' has no label 'gone'."),
        (("copy", "ana/sole/1.0", "--to-owner", "copies"), "no file of 'sole' 1.0 to copy"),
    ):
        code, output = anaconda(everything, *words)
        assert (code != 0, sentence in output) == (True, True), (words, output)


def test_anaconda_client_logs_in_with_a_key(anaconda: Anaconda, everything: str) -> None:
    code, output = anaconda("", "login", "--username", "olga", "--password", everything)
    assert (code, "login successful" in output) == (0, True), output
    assert "Username: olga" in anaconda("", "whoami")[1]
    assert "logout successful" in anaconda("", "logout")[1]
    assert "Username: olga" not in anaconda("", "whoami")[1]


@pytest.mark.usefixtures("channels")
def test_anaconda_client_shows_refusals(
    hub: LiveHub, anaconda: Anaconda, keys: Keys, everything: str, tmp_path: Path
) -> None:
    package = make_conda(tmp_path, name="refused")
    damaged = make_conda(tmp_path, name="damaged", pkg_tar=b"no tar")
    for key, channel, words, sentence in (
        ("wrong", "ana", (package,), "This is not a key of this hub: its keys begin with 'chub-'."),
        (keys.vera, "private", (package,), "vera may read 'private' but not upload there."),
        (everything, "nowhere", (package,), "or there is no such channel."),
        (everything, "ana", ("--label", "a b", package), "'a b' is not a label."),
        (everything, "ana", (damaged,), "damaged-1.0-0.conda was refused: "),
    ):
        code, output = anaconda(key, "upload", "-u", channel, *words)
        assert (code != 0, sentence in output) == (True, True), output
    code, output = anaconda(keys.olga, "remove", "-f", "ana/refused/1.0")
    assert (code != 0, "this needs a key with 'delete'" in output) == (True, True), output


def test_rattler_uploads_by_the_anaconda_protocol(hub: LiveHub, everything: str, tmp_path: Path) -> None:
    package = make_conda(tmp_path, name="by-rattler", files={"share/hello.txt": b"hello\n"})
    for _ in range(2):
        upload_package_to_anaconda([str(package)], "ana", api_key=everything, url=f"{hub.url}/anaconda")
    seconds_until_indexed(hub, "ana", "noarch", [package.name], everything)
    reader = Reader(f"{hub.url}/ana", {"BearerToken": everything})
    assert reader.install("by-rattler")["share/hello.txt"] == "hello\n"
    labeled = make_conda(tmp_path, name="by-rattler", version="2.0")
    upload_package_to_anaconda(
        [str(labeled)], "ana", channel=["by-rattler"], api_key=everything, url=f"{hub.url}/anaconda"
    )
    seconds_until_indexed(hub, "ana/label/by-rattler", "noarch", [labeled.name], everything)


@pytest.mark.usefixtures("channels")
def test_rattler_hides_the_hubs_sentence_by_the_anaconda_protocol(
    hub: LiveHub, keys: Keys, everything: str, tmp_path: Path
) -> None:
    """rattler shows only the status, so docs/publishing.md prefers `upload prefix`."""
    package = str(make_conda(tmp_path, name="refused"))
    (tmp_path / "other").mkdir()
    other = str(make_conda(tmp_path / "other", name="refused", files={"share/other": b"x"}))
    upload_package_to_anaconda([package], "ana", api_key=everything, url=f"{hub.url}/anaconda")
    for key, channel, label, file, shown in (
        ("chub-wrong", "ana", "main", package, "401"),
        (keys.vera, "private", "main", package, "failed to create or update package"),
        (everything, "nowhere", "main", package, "403"),
        (everything, "ana", "a b", package, "422"),
        (everything, "ana", "main", other, "403"),
    ):
        with pytest.raises(RattlerBuildError, match=shown):
            upload_package_to_anaconda([file], channel, channel=[label], api_key=key, url=f"{hub.url}/anaconda")
    assert fetched(hub, "/ana/noarch/refused-1.0-0.conda", everything) == Path(package).read_bytes()
