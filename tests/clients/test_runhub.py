"""The embedded hub as a person runs it: start, stop, kill -9, and the one-line error if it can't start."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from itertools import repeat
from pathlib import Path
from socket import create_server
from urllib.request import urlopen

import pytest

from deploy.local import free_port
from tests.archives import make_conda
from tests.clients.conftest import Figure, seconds_to_upload
from tests.clients.plain import ask, records, seconds_until, seconds_until_indexed, upload
from tests.forked import run_manage
from tests.live import ROOT, LiveHub, Program, live_hub, running

READY_S = 30
NO_START_S = 120
HEALED_S = 180
# Part of the hub → a word of its command line.
PARTS = {"web": "gunicorn", "worker": "worker", "beat": "beat"}
UPLOADS = 60
UPLOADS_UNTIL_THE_CUT = 12
CLIENTS = 4
SELDOM_MS = "5000"
# Longer than the worker needs for the jobs that are enqueued at its start.
QUIET_S = 5


@pytest.fixture(autouse=True)
def signals_as_in_a_terminal() -> Iterator[None]:
    """Restore SIGINT for child processes: a shell's background jobs ignore it, and so would the tests' hub."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Start a hub for this module. Each test leaves it running."""
    with live_hub(tmp_path_factory.mktemp("hub"), Program) as hub:
        yield hub


@pytest.fixture(scope="module")
def key(hub: LiveHub) -> str:
    """Return a key of the owner of the private channel `demo`."""
    return open_channel(hub)


def test_first_start_prints_next_steps_address_and_password_last(tmp_path: Path) -> None:
    with live_hub(tmp_path, Program, HUB_TUF_URL=f"http://127.0.0.1:{free_port()}") as hub:
        seconds_until(lambda: "Administrator" in hub.log())
        time.sleep(QUIET_S)
        lines = hub.log().splitlines()
        assert len(lines) == 3, hub.log()
        assert f"{hub.url}/docs/first-steps" in lines[0]
        assert lines[1].endswith(hub.url)
        assert lines[2].startswith("Administrator: admin, password: ")


def test_first_start_that_fails_prints_the_password(tmp_path: Path) -> None:
    hub = Program(tmp_path / "data", HUB_HOST="127.0.0.1")
    program = "from channels_app.management.commands import runhub; runhub.PARTS['web'] = ['gunicorn', 'no.such:app']; "
    program += "from django.core.management import execute_from_command_line; execute_from_command_line(['', 'runhub'])"
    setup = "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'hub.settings'; django.setup(); "
    command = [sys.executable, "-c", setup + program]
    done = subprocess.run(
        command, cwd=ROOT, env=hub.environment, capture_output=True, text=True, check=False, timeout=NO_START_S
    )
    assert done.returncode != 0
    assert "Administrator: admin, password: " in done.stdout
    assert "The web could not be started (exit code 3)" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_stops_with_all_of_its_parts_and_starts_again(
    hub: LiveHub, key: str, tmp_path: Path, number: int, figure: Figure
) -> None:
    package = make_conda(tmp_path, name=f"before{number}")
    assert upload(hub, "demo", package, key).status == 201
    assert all(hub.part(word) for word in PARTS.values())
    parts = hub.parts()
    begun = time.monotonic()
    assert hub.stop(number) == 0
    figure("seconds to stop", round(time.monotonic() - begun, 1))
    assert running(parts) == {}
    assert "Traceback" not in hub.log()
    seconds = hub.start()
    figure("seconds until ready", round(seconds, 1))
    assert seconds < READY_S
    assert ask(hub, f"/demo/noarch/{package.name}", key).body == package.read_bytes()
    seconds_until_indexed(hub, "demo", "noarch", [package.name], key)
    assert hub.log().count("Administrator: admin, password: ") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists threads and open files in folders")
def test_process_that_forks_has_no_thread_or_connection(hub: LiveHub) -> None:
    """Forks would share them."""
    process = Path(f"/proc/{hub.process.pid}")
    assert len(list((process / "task").iterdir())) == 1
    files = [str(path.readlink()) for path in (process / "fd").iterdir()]
    assert not [name for name in files if "socket" in name or "sqlite3" in name]


@pytest.mark.parametrize(("name", "word"), PARTS.items(), ids=PARTS)
def test_killed_part_is_started_again(
    hub: LiveHub, key: str, tmp_path: Path, name: str, word: str, figure: Figure
) -> None:
    old = hub.part(word)
    os.kill(old[0], signal.SIGKILL)
    seconds = seconds_until(lambda: f"The {name} stopped by itself; it was started again." in hub.log())
    seconds += seconds_until(lambda: not running(old) and hub.is_ready())
    figure("seconds until it was started again, and the hub ready", round(seconds, 1))
    package = make_conda(tmp_path, name=f"after-{name}")
    assert upload(hub, "demo", package, key).status == 201
    seconds = seconds_until_indexed(hub, "demo", "noarch", [package.name], key)
    figure("seconds from the next 2xx to the index", round(seconds, 1))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_killed_web_with_open_connections_is_back_at_once(hub: LiveHub, figure: Figure) -> None:
    """One connection is idle, the other has an incomplete request. Neither keeps the port in use."""
    before = len(hub.log())
    idle, busy = (HTTPConnection("127.0.0.1", hub.port, timeout=READY_S) for _ in range(2))
    idle.request("GET", "/healthz")
    assert idle.getresponse().read()
    busy.putrequest("PUT", "/demo/noarch/never-1.0-0.conda")
    busy.putheader("Content-Length", "1000")
    busy.endheaders(b"the first bytes")
    old = hub.part("gunicorn")
    os.kill(old[0], signal.SIGKILL)
    seconds = seconds_until(lambda: "The web stopped by itself" in hub.log()[before:])
    # The new master has all of its workers, so no old worker answers.
    seconds += seconds_until(lambda: len(hub.part("gunicorn")) == len(old) and hub.is_ready())
    figure("seconds until the web answered again", round(seconds, 1))
    busy.close()
    seconds_until(lambda: not running(old))
    idle.close()
    assert "Connection in use" not in hub.log()[before:]


@pytest.mark.parametrize("is_queue_lost", [False, True], ids=["queue kept", "queue lost"])
def test_power_cut_during_uploads_loses_no_published_file(
    tmp_path: Path, figure: Figure, *, is_queue_lost: bool
) -> None:
    packages = [make_conda(tmp_path, version=f"1.{number}") for number in range(UPLOADS)]
    acknowledged: list[Path] = []
    with live_hub(tmp_path, HUB_INDEX_PAUSE_MS=SELDOM_MS) as hub:
        key = open_channel(hub)
        with ThreadPoolExecutor(CLIENTS) as clients:
            uploads = clients.map(upload_and_note, repeat(hub), packages, repeat(key), repeat(acknowledged))
            seconds_until(lambda: len(acknowledged) >= UPLOADS_UNTIL_THE_CUT)
            hub.kill()
        assert not all(uploads)
        if is_queue_lost:
            shutil.rmtree(hub.data_dir / "queue", ignore_errors=True)
        figure("uploads acknowledged before the power cut", len(acknowledged))
        hub.start()
        figure("of them in the index at the restart", len(records(hub, "demo", "noarch", key)))
        names = [package.name for package in acknowledged]
        seconds = seconds_until_indexed(hub, "demo", "noarch", names, key, limit_s=HEALED_S)
        figure("seconds from ready until all of them were in the index", round(seconds, 1))
        for package in acknowledged:
            assert ask(hub, f"/demo/noarch/{package.name}", key).body == package.read_bytes()
        seconds_to_upload(hub, "demo", packages, key)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_parts_end_with_a_killed_hub(hub: LiveHub, figure: Figure) -> None:
    parts = hub.parts()
    hub.process.kill()
    hub.process.wait()
    seconds = seconds_until(lambda: not running(parts))
    figure("seconds until the last part was gone", round(seconds, 1))
    hub.start()


def test_start_on_a_used_port_prints_one_line(tmp_path: Path) -> None:
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert why_no_start(tmp_path, HUB_PORT=f"{port}") == (
            f"CommandError: 127.0.0.1:{port} can't be used: Address already in use. Is a hub running already? "
            "Stop it, or choose another port with HUB_PORT."
        )


def test_start_on_the_data_of_a_running_hub_refused(hub: LiveHub) -> None:
    assert why_no_start(hub.data_dir, HUB_PORT=str(free_port())) == (
        f"CommandError: A hub is running on the data in {hub.data_dir}. "
        "Stop it, or choose another folder with HUB_DATA_DIR."
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_start_at_an_address_of_another_machine_refused(tmp_path: Path, host: str) -> None:
    assert why_no_start(tmp_path, HUB_HOST=host).endswith(" HUB_HOST must be an address of this machine.")


@pytest.mark.parametrize("url", ["", "http://hub.example.org"])
def test_start_at_another_address_answers_there(tmp_path: Path, url: str) -> None:
    given = {"HUB_PUBLIC_URL": url} if url else {}
    # The hub asks itself through no proxy.
    hub = Program(tmp_path / "data", HUB_HOST="127.0.0.2", http_proxy="http://127.0.0.1:1", **given)
    hub.take_tables()
    hub.process = hub.spawn()
    try:
        seconds_until(lambda: "Administrator" in hub.log())
        assert urlopen(f"http://127.0.0.2:{hub.port}/healthz", timeout=5).status == 200
        expected = f"{url}, listening on 127.0.0.2:{hub.port}" if url else f"http://127.0.0.2:{hub.port}"
        assert f"Channelhub is ready at {expected}\n" in hub.log()
        assert "Traceback" not in hub.log()
    finally:
        hub.process.send_signal(signal.SIGTERM)
        hub.process.wait(NO_START_S)


def test_data_folder_that_cant_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / "file" / "data"
    assert why_no_start(folder) == f"HUB_DATA_DIR is '{folder}', which can't be made: Not a directory."


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HUB_DELIVERY", "nonsense", "HUB_DELIVERY is 'nonsense'; expected one of: stream, redirect, accel."),
        ("HUB_STORAGE", "floppy", "HUB_STORAGE is 'floppy'; expected one of: filesystem, s3."),
        ("HUB_INDEX_PAUSE_MS", "soon", "HUB_INDEX_PAUSE_MS is 'soon'; expected a whole number above zero."),
        ("HUB_PUBLIC_URL", "hub.example.org", "HUB_PUBLIC_URL is 'hub.example.org'; expected an origin such as"),
    ],
)
def test_start_with_a_bad_setting_prints_one_line(tmp_path: Path, name: str, value: str, expected: str) -> None:
    assert expected in why_no_start(tmp_path, **{name: value})


def open_channel(hub: LiveHub) -> str:
    """Create a private channel `demo`. Return a key of its owner."""
    hub.manage("createchannel", "demo", "--owner", "admin")
    return hub.manage("createapikey", "admin", "--name", "test", "--scope", "read", "--scope", "upload")


def upload_and_note(hub: LiveHub, package: Path, key: str, acknowledged: list[Path]) -> bool:
    """Upload the package. Return True, and append it to `acknowledged`, if the answer is 201."""
    try:
        is_done = upload(hub, "demo", package, key).status == 201
    except (OSError, HTTPException):
        return False
    if is_done:
        acknowledged.append(package)
    return is_done


def why_no_start(data_dir: Path, **settings: str) -> str:
    """Return the one-line error of a hub that does not start."""
    done = run_manage("runhub", environment=LiveHub(data_dir, **settings).environment, timeout_s=NO_START_S)
    assert done.returncode != 0
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    return line
