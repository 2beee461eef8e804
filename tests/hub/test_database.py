"""Tests of PostgreSQL connections: shared by threads, replaced after a failure, and 503 if there is none."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
import pytest
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.site import views
from hub import database
from hub.locks import try_lock, try_lock_for_slow_io
from tests.live import LiveHub, live_hub

URL = os.environ.get("DATABASE_URL", "")
ON_POSTGRESQL = pytest.mark.skipif(not URL.startswith("postgres"), reason="there is no PostgreSQL here")
DOWN = "The database does not answer just now; try again in a moment.\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Run a hub with one connection for each of its two web processes."""
    with live_hub(tmp_path_factory.mktemp("hub"), HUB_DATABASE_CONNECTIONS="1", HUB_ADMIN_PASSWORD="x" * 20) as hub:
        hub.manage("createchannel", "open", "--owner", "admin", "--public")
        yield hub


def asked(hub: LiveHub) -> tuple[int, str | None, str]:
    """Return status, Retry-After and text of a page that needs the database."""
    try:
        with urlopen(f"{hub.url}/channels/open", timeout=120) as answer:
            return answer.status, None, "a page"
    except HTTPError as error:
        return error.code, error.headers["Retry-After"], error.read().decode()


def administrator(hub: LiveHub) -> psycopg.Connection:
    """Return a connection to the same server, outside of the hub's database."""
    server = urlsplit(hub.environment["DATABASE_URL"])
    return psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True)


def end_sessions(hub: LiveHub) -> int:
    name = urlsplit(hub.environment["DATABASE_URL"]).path.strip("/")
    with administrator(hub) as session:
        # Waits up to 10 s for each session to end: PostgreSQL's processes end later than they are told to.
        end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
        found = session.execute(end, [name])
        return len(found.fetchall())


@ON_POSTGRESQL
def test_ended_connections_are_replaced_unseen(hub: LiveHub) -> None:
    assert {asked(hub)[0] for _ in range(4)} == {200}
    assert end_sessions(hub) >= 1
    assert [asked(hub)[0] for _ in range(8)] == [200] * 8


@ON_POSTGRESQL
def test_a_database_that_is_down_is_a_clean_503_and_the_hub_recovers_by_itself(hub: LiveHub) -> None:
    name = urlsplit(hub.environment["DATABASE_URL"]).path.strip("/")
    with administrator(hub) as session:
        session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        end_sessions(hub)
        refused = asked(hub)
        session.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert refused == (503, "5", DOWN)

    # The first request may still wait for the pool's last try.
    asked(hub)
    assert [asked(hub)[0] for _ in range(6)] == [200] * 6


@ON_POSTGRESQL
def test_request_without_a_free_connection_gets_503(hub: LiveHub) -> None:
    with psycopg.connect(hub.environment["DATABASE_URL"]) as blocker, ThreadPoolExecutor(8) as clients:
        blocker.execute("LOCK TABLE channels_app_channel IN ACCESS EXCLUSIVE MODE")
        waiting = [clients.submit(asked, hub) for _ in range(8)]
        told = [future.result() for future in wait(waiting, timeout=45).done]
        blocker.rollback()
        others = [future.result()[0] for future in waiting]
    assert len(told) >= 6
    assert set(told) == {(503, "5", DOWN)}
    assert others.count(200) == 8 - len(told)
    assert asked(hub)[0] == 200


def end_own_session_while_taken(name: str) -> None:
    assert not is_free(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def is_free(name: str) -> bool:
    """Tell whether another session of the server gets the lock."""

    def attempt() -> bool:
        try:
            with try_lock(name) as held:
                return held
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as other:
        return other.submit(attempt).result()


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_a_lock_ends_with_its_session() -> None:
    with pytest.raises(OperationalError), try_lock("a"):
        end_own_session_while_taken("a")
    connection.close()
    assert is_free("a")


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_locks_for_slow_io_share_one_session_and_end_with_it() -> None:
    with connection.cursor() as cursor, try_lock_for_slow_io("a"):
        with try_lock_for_slow_io("b"):
            # Other tests of this server lock in their own databases.
            cursor.execute(
                "SELECT DISTINCT pid FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            [[pid]] = cursor.fetchall()
            assert not is_free("a")
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert is_free("a")
    with try_lock_for_slow_io("a") as held:
        assert held
    assert is_free("a")


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_returned_connection_holds_no_lock() -> None:
    """Check a lock that was taken in a failed transaction: the lock outlives it, and unlocking fails."""
    with pytest.raises(InternalError), transaction.atomic(), try_lock("a"), connection.cursor() as cursor:
        cursor.execute("SELECT nonsense")
    connection.close()
    assert is_free("a")


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_a_connection_is_given_back_unless_a_transaction_needs_it() -> None:
    with transaction.atomic():
        database.release_connection()
        assert connection.connection is not None
    database.release_connection()
    assert connection.connection is None
    connection.ensure_connection()


@ON_POSTGRESQL
@pytest.mark.django_db(transaction=True)
def test_query_of_every_request_is_prepared_once(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    found = "SELECT name FROM channels_app_channel WHERE name = %s"
    with django_assert_num_queries(3):
        for name in ("a", "b"):
            with database.prepared() as cursor:
                cursor.execute(found, [name])
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%channels_app_channel%'")
            assert cursor.fetchone() == (1,)


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("gone"), InterfaceError("closed")])
def test_a_page_without_its_database_is_a_503(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(views, "visible_channels", fail)
    client.raise_request_exception = False
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"], answer.text) == (503, "5", DOWN)
