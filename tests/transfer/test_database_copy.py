"""Refusals to copy a database. tests/clients/test_rehearsals.py copies real ones."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from channels_app.models import User
from publishing.transfer import database_copy
from publishing.transfer.database_copy import RefusedError
from tests.live import LiveHub, own_services


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Yield a hub that was never started."""
    with own_services() as services:
        hub = LiveHub(tmp_path_factory.mktemp("moved") / "data", **services)
        hub.take_tables()
        yield hub


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("hub.sqlite3", "The URL of a database starts with sqlite:/// or postgres:// or postgresql://; this one does"),
        ("mysql://hub@db/hub", "The URL of a database starts with"),
        ("sqlite:////nowhere/hub.sqlite3", "There is no file /nowhere/hub.sqlite3; expected a hub's database."),
    ],
)
def test_a_url_that_names_no_database_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence), database_copy.connected(url):
        pass


def test_unreachable_server_is_reported(hub: LiveHub) -> None:
    with pytest.raises(RuntimeError, match=r"Nothing was copied. .*127.0.0.1.* port 1 "):
        hub.manage("movedatabase", "--from", "postgres://hub@127.0.0.1:1/hub")


def test_a_database_of_another_version_is_refused(hub: LiveHub, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "hub.sqlite3")) as empty:
        empty.execute("VACUUM")

    with pytest.raises(RuntimeError, match=r"has the migration account 0001_initial; run `manage.py migrate` on both"):
        hub.manage("movedatabase", "--from", f"sqlite:///{tmp_path / 'hub.sqlite3'}")


def test_a_used_database_is_refused(olga: User) -> None:
    with pytest.raises(RefusedError, match="already has 1 users and 0 channels; expected a new database"):
        database_copy.check_unused()
