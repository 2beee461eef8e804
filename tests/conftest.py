"""Fixtures of every test: a store, a queue that records its jobs, and three people."""

import gc
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

import pytest
from django.contrib.contenttypes.management import create_contenttypes
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_migrate
from django.test import override_settings
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from channels_app.models import Channel, User
from channels_app.packages import download_counts
from hub import fetching
from hub.fetching import FetchError
from publishing.notices import banner
from publishing.verification import unknown_files
from tests import tables
from tests.builders import make_channel, make_user
from tests.forked import QUICK_HASHERS
from tests.sample_channel import fill_channel

# Live hub → the files that share it.
SHARED_HUBS = {
    "browser": r"tests/browser/.+",
    "clients": r"tests/clients/test_(anaconda|artifactory|conda_build_packages|labels|many_uploads|notices|patches|"
    r"quetz|rattler|reading|stack|uploading)\.py",
}
# Files whose tests mostly wait for servers, clients and browsers.
WAITING = re.compile(r"tests/(browser|clients|deploy|differential|docs|hub)/|_live\.py")
KEPT_TABLES = {"auth_permission", "django_content_type"}
IN_MEMORY = "file:channelhub?mode=memory&cache=shared"


def pytest_collection() -> None:
    """Collect tests without garbage collection, which finds little there."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exempt imported modules and collected tests from garbage collection, which also runs less often."""
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(100_000, 50, 1000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--first-cases", action="append", default=[], metavar="ROOM", help="Run one case of each test in this room."
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    rooms = [config.rootpath / room for room in config.getoption("--first-cases")]
    first = set({item.nodeid.partition("[")[0]: item for item in reversed(items)}.values())
    others = [item for item in items if item not in first and any(map(item.path.is_relative_to, rooms))]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    if hasattr(config, "workerinput"):
        mix(items)


def mix(items: list[pytest.Item]) -> None:
    """Spread the files of tests that wait over the first four fifths of the others, so that processors stay busy.

    They are sorted by a checksum: neighbours in a folder often wait long.
    """
    files = {item.path: bool(WAITING.search(item.nodeid)) for item in items}
    waiting = sorted((path for path, waits in files.items() if waits), key=lambda path: crc32(path.name.encode()))
    others = [path for path, waits in files.items() if not waits]
    places = {path: 0.8 * number / len(waiting) for number, path in enumerate(waiting)}
    places |= {path: number / len(others) for number, path in enumerate(others)}
    items.sort(key=lambda item: places[item.path])


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Files run whole in one process. Those that share a live hub run in two, which start it once each."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        hub = next((hub for hub, files in SHARED_HUBS.items() if re.fullmatch(files, file)), "")
        return f"{hub} {crc32(file.encode()) % 2}" if hub else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False  # the order is that of `mix`
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """Let the test database begin with the tables that one process of this run has made."""
    test = connection.settings_dict["TEST"]
    if connection.vendor == "postgresql":
        test["TEMPLATE"] = tables.in_postgresql(os.environ["DATABASE_URL"])
        yield
    else:
        test["NAME"] = IN_MEMORY
        with closing(tables.copy_to_memory(IN_MEMORY)):
            yield


@pytest.fixture(autouse=True)
def store_folder(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """Use an empty folder as the store, and another for uploads."""
    folder = tmp_path / "channels"
    settings.UPLOAD_DIR = tmp_path / "uploads"
    settings.UPLOAD_DIR.mkdir()
    settings.STORAGES = settings.STORAGES | {
        "channels": {"BACKEND": "hub.storage.folder.FolderStore", "OPTIONS": {"root": folder, "follows_links": False}}
    }
    settings.HUB_INDEX_PAUSE_MS = 1
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Leave out slow work of production that no test here checks. Live hubs do all of it.

    Passwords are hashed by MD5, WhiteNoise looks for static files on demand, and files are not flushed to the disk.
    A test with commits keeps content types and permissions, which would be made anew, and PostgreSQL deletes the other
    rows: for a few, that takes a tenth of the time of TRUNCATE.
    """
    post_migrate.disconnect(create_contenttypes)
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")
    with (
        override_settings(PASSWORD_HASHERS=QUICK_HASHERS, WHITENOISE_AUTOREFRESH=True),
        patch("os.fsync", lambda descriptor: None),
        patch("django.core.management.commands.flush.sql_flush", delete_rows),
    ):
        yield


def delete_rows(_style: object, connection: BaseDatabaseWrapper, **_: object) -> list[str]:
    """Return statements that empty the tables, on PostgreSQL without triggers and checks of foreign keys."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    deletions = [f'DELETE FROM "{table}"' for table in sorted(set(tables) - KEPT_TABLES)]  # noqa: S608  own names
    if connection.vendor != "postgresql":
        return deletions
    return ["SET session_replication_role = replica", *deletions, "SET session_replication_role = DEFAULT"]


@pytest.fixture(autouse=True)
def sent_jobs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Record enqueued jobs as (name, argument)… instead of running them."""
    jobs: list[tuple[object, ...]] = []
    for module in (
        "channels_app.audit.outbox",
        "channels_app.channels.channels",
        "channels_app.webhooks.deliveries",
        "channels_app.webhooks.queue",
        "channels_app.webhooks.webhooks",
        "publishing.index.builds",
        "publishing.index.turns",
    ):
        monkeypatch.setattr(f"{module}.wake", lambda *job: jobs.append(job))
    return jobs


@pytest.fixture(autouse=True)
def no_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache that the hub has no notices, so that pages cost the same in any order of the tests."""
    monkeypatch.setattr(banner, "_cached", (float("inf"), []))


@pytest.fixture(autouse=True)
def counted_downloads(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Count downloads, and write the counts when a test says so, not in a thread."""
    monkeypatch.setattr(download_counts, "_pending", Counter())
    monkeypatch.setattr(download_counts, "_timers", [object()])
    settings.HUB_DOWNLOAD_COUNT_S = 3600


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections to other machines."""
    looked_up = fetching.look_up

    def here_alone(host: str, port: int) -> list[str]:
        if host not in ("127.0.0.1", "localhost"):
            raise FetchError(f"{host} is not asked by tests.")
        return looked_up(host, port)

    monkeypatch.setattr(fetching, "look_up", here_alone)


@pytest.fixture(scope="module")
def rows_of_module(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Let fixtures of a module create rows once: each test is rolled back to them, and they after the last test."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def olga(db: None) -> User:
    """Return the owner of `channel`."""
    return make_user("olga")


@pytest.fixture
def max_(db: None) -> User:
    """Return a user, not a member of `channel` unless a test adds him."""
    return make_user("max")


@pytest.fixture
def sam(db: None) -> User:
    """Return a user without any relation to `channel`."""
    return make_user("sam")


@pytest.fixture
def channel(olga: User) -> Channel:
    """Return a private channel of Olga."""
    return make_channel(owner=olga)


@pytest.fixture
def channel_with_packages(channel: Channel, olga: User, tmp_path: Path) -> Channel:
    """Fill `channel` with packages, attestations and a complete index, for tests of verification."""
    fill_channel(channel, olga, tmp_path)
    return channel


@pytest.fixture
def old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat files that were just stored as old."""
    monkeypatch.setattr(unknown_files, "FRESH", timedelta(hours=-1))
