"""A full disk: clients still read, downloads are counted later, and errors say so to browsers, clients and commands."""

import errno
import shutil
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from channels_app.authentication import api_keys
from channels_app.models import Channel, DailyDownloads, User
from channels_app.packages import download_counts
from hub.full_disk import is_disk_full
from tests.builders import make_artifact, make_key

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SIGN_IN = {"login": "olga", "password": "x" * 20}


class Refusing:
    """A database that refuses every write."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith(("UPDATE", "INSERT", "DELETE")):
            raise OperationalError(str(self.error)) from self.error
        return execute(sql, *arguments)


class Refused(Exception):  # noqa: N818  # stands for psycopg's
    sqlstate = ""


def of_sqlite(code: int, text: str) -> Exception:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def of_postgresql(state: str) -> Exception:
    error = Refused("could not extend file")
    error.sqlstate = state
    return error


FULL = [of_sqlite(sqlite3.SQLITE_FULL, "database or disk is full"), of_postgresql("53100")]
OTHERS = [of_sqlite(sqlite3.SQLITE_BUSY, "database is locked"), of_postgresql("57P01")]
WRITE_FAILED = of_sqlite(sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")


@pytest.fixture
def browser() -> Client:
    User.objects.create_user("olga", password="x" * 20)
    return Client(raise_request_exception=False, headers=BROWSER)


def sign_in(client: Client, error: Exception, **headers: str) -> Any:
    with connection.execute_wrapper(Refusing(error)):
        return client.post(reverse("account_login"), SIGN_IN, headers=headers)


@pytest.mark.parametrize("error", FULL, ids=str)
def test_sign_in_on_a_full_disk_shows_an_error_page(browser: Client, error: Exception) -> None:
    response = sign_in(browser, error)
    assert (response.status_code, response.headers["X-Error-Code"]) == (507, "disk_full")
    assert "<h1>The hub's disk is full</h1>" in response.content.decode()
    assert "Nothing was changed." in response.content.decode()


@pytest.mark.parametrize("error", OTHERS, ids=str)
def test_another_fault_of_the_database_is_a_page_of_its_own(browser: Client, error: Exception) -> None:
    response = sign_in(browser, error)
    assert (response.status_code, response.headers["X-Error-Code"]) == (503, "database_unavailable")
    assert "<h1>The database does not answer</h1>" in response.content.decode()


def test_client_on_a_full_disk_gets_a_sentence(browser: Client) -> None:
    response = sign_in(browser, FULL[0], accept="*/*")
    assert (response.status_code, response.headers["Content-Type"]) == (413, "text/plain; charset=utf-8")
    assert response.content.decode().startswith("The hub's disk is full.")


@pytest.mark.parametrize(("free_bytes", "expected"), [(0, True), (10**9, False)])
def test_failed_write_is_a_full_disk_where_there_is_no_room(
    free_bytes: int, *, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free_bytes))
    assert is_disk_full(WRITE_FAILED) is expected


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_error_that_a_full_disk_led_to_is_one(code: int) -> None:
    error = RuntimeError("x")
    error.__cause__ = OSError(code, "no")
    assert is_disk_full(error)
    assert not is_disk_full(OSError(errno.EACCES, "no"))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FULL[0], r"The hub's disk is full \(database or disk is full\)\. Make room on it, then try again\."),
        (OTHERS[0], "The database can't be used: database is locked"),
    ],
)
def test_command_on_a_full_disk_prints_one_line(browser: Client, error: Exception, sentence: str) -> None:
    for command in (["createchannel", "demo", "--owner", "olga"], ["createapikey", "olga", "--name", "ci"]):
        with connection.execute_wrapper(Refusing(error)), pytest.raises(CommandError, match=f"^{sentence}$"):
            call_command(*command)


@pytest.mark.django_db(transaction=True)
def test_key_reads_a_private_channel_on_a_full_disk(channel: Channel, olga: User) -> None:
    secret = make_key(olga)
    with connection.execute_wrapper(Refusing(FULL[0])):
        for path in (f"/{channel}/noarch/repodata.json", f"/t/{secret}/{channel}/noarch/repodata.json"):
            assert Client().get(path, headers={"Authorization": f"Bearer {secret}"}).status_code == 200


def test_use_of_a_key_with_another_fault_of_the_database_fails(olga: User) -> None:
    key = api_keys.look_up(make_key(olga))
    assert key
    with connection.execute_wrapper(Refusing(OTHERS[0])), pytest.raises(OperationalError):
        api_keys.note_use(key)


def test_downloads_on_a_full_disk_are_counted_later(channel: Channel) -> None:
    first, second = (make_artifact(channel, name) for name in ("first", "second"))
    for artifact in (first, second, second):
        download_counts.count(artifact.pk)
    with connection.execute_wrapper(Refusing(FULL[0])), pytest.raises(OperationalError):
        download_counts.write()
    download_counts.count(first.pk)
    for _ in range(2):
        download_counts.write()
    assert [(row.artifact, row.count) for row in DailyDownloads.objects.order_by("pk")] == [(first, 2), (second, 2)]
