"""The start of the embedded hub, of which the programs and their preparation are left out."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from channels_app.management.commands import runhub
from channels_app.management.commands.runhub import Command
from hub.commands import PlainOutput
from hub.server import programs as programs_of_hub
from hub.server.processes import Fork

PATIENCE_S = 30
FILES = 256
SHOWN = "Administrator: admin, password: secret"


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def start(monkeypatch: pytest.MonkeyPatch, *, preparation: object, load: object, programs: object) -> str:
    """Start a hub with these functions in place of its own until Ctrl-C. Return its output."""
    monkeypatch.setattr(runhub, "execute_from_command_line", preparation)
    monkeypatch.setattr(programs_of_hub, "load", load)
    monkeypatch.setattr(runhub, "start_stopped", programs)
    output = StringIO()
    command = Command()
    command.stdout = PlainOutput(output)
    command.run()
    return output.getvalue()


def show_and_stay(made: Path, _: list[str]) -> None:
    sys.stdout.write(f"{SHOWN}\n")
    made.touch()
    time.sleep(PATIENCE_S)


def await_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_stop_while_the_hub_is_prepared_prints_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    made, written = tmp_path / "made", tmp_path / "written"

    def load() -> None:
        await_file(made)
        os.kill(os.getpid(), number)
        time.sleep(PATIENCE_S)

    def run() -> None:
        written.write_text(start(monkeypatch, preparation=partial(show_and_stay, made), load=load, programs=None))

    # In a fork, which a signal without a handler would end.
    hub = Fork("hub", run)
    hub.start()
    assert hub.wait(PATIENCE_S) == 0
    assert written.read_text().splitlines() == [SHOWN, runhub.STOPPING]


def test_programs_inherit_no_file_with_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path / "found"

    def programs(_: object) -> None:
        program = Fork("program", partial(note_inherited, found))
        program.start()
        program.wait(PATIENCE_S)
        raise KeyboardInterrupt

    output = start(monkeypatch, preparation=lambda _: sys.stdout.write(SHOWN), load=lambda: None, programs=programs)
    assert SHOWN in output
    assert found.read_text() == "0"


def test_program_that_ends_at_once_is_started_again_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runhub, "PARTS", {"web": ["gunicorn"]})
    monkeypatch.setattr(programs_of_hub, "run", lambda _: None)
    parts: dict[str, Fork] = {}
    assert runhub.start_stopped(parts) == []
    first = parts["web"]
    first.wait(PATIENCE_S)
    assert runhub.start_stopped(parts) == []
    assert parts["web"] is first
    monkeypatch.setattr(runhub, "RESTART_S", 0)
    assert runhub.start_stopped(parts) == ["web"]
    assert parts["web"].wait(PATIENCE_S) == 0


def note_inherited(found: Path) -> None:
    """Write how many of this process's files have the password."""
    contents = []
    for file in range(FILES):
        with suppress(OSError):
            contents.append(os.pread(file, 1000, 0))
    found.write_text(str(sum(SHOWN.encode() in content for content in contents)))
