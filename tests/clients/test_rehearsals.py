"""Rehearsals of rare operations: restore after a total loss, move the store, move the database."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.archives import SHARED_PACKAGES
from tests.clients.conftest import Figure, seconds_to_upload
from tests.clients.plain import ask, seconds_until_indexed, until_settled
from tests.clients.reader import Reader
from tests.clients.test_store import FILES, INSTALLED, PATHS, SPECS, fill, is_redirected
from tests.live import LiveHub, live_hub, own_services
from tests.stack import DELIVERY
from tests.stores import S3Server, seaweed_server

LATER = "dummy-b-0.1.0-hb0f4dca_0.conda"
PASSWORD = "rehearsed-often"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LiveHub]:
    with live_hub(tmp_path, HUB_ADMIN_PASSWORD=PASSWORD) as hub:
        yield hub


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweed_server(tmp_path_factory.mktemp("seaweed") / "data") as server:
        yield server


def test_everything_is_lost_and_comes_back(hub: LiveHub, tmp_path: Path, figure: Figure) -> None:
    key = fill(hub)
    backup = tmp_path / "backup"
    begun = time.monotonic()
    assert "is complete" in hub.manage("backup", str(backup))
    figure("seconds to back up", round(time.monotonic() - begun, 1))
    assert "5 files seen, 0 copied" in hub.manage("backup", str(backup))
    lost = hub.manage("createapikey", "admin", "--name", "made after the backup")

    hub.stop()
    lose_everything(hub)
    begun = time.monotonic()
    assert "Restored." in hub.manage("restore", str(backup))
    figure("seconds to restore", round(time.monotonic() - begun, 1))
    check_clean(hub)
    hub.start()

    check_reading(hub, key)
    check_working(hub, key)
    assert ask(hub, "/demo/noarch/repodata.json", lost).status == 401
    until_settled(hub)
    shutil.rmtree(hub.data_dir / "channels" / "demo")
    hub.manage("restore", str(backup), "--only-store")
    with pytest.raises(RuntimeError, match="verify --hash failed"):
        check_clean(hub)
    with pytest.raises(RuntimeError, match="This hub has 1 users and 1 channels, which the backup would replace"):
        hub.manage("restore", str(backup))


@pytest.mark.skipif(not DELIVERY, reason="make test-services moves the store of PostgreSQL's hub")
def test_a_folder_moves_into_a_bucket_and_back(hub: LiveHub, seaweed: S3Server, tmp_path: Path) -> None:
    key = fill(hub)
    bucket = seaweed.with_new_bucket().environment()
    hub.settings |= bucket | {"HUB_STORAGE": "filesystem"}
    hub.manage("movestore", "--to", "s3")
    hub.stop()
    assert "Everything is copied." in hub.manage("movestore", "--to", "s3")
    (hub.data_dir / "channels").rename(tmp_path / "out of the way")

    hub.settings |= {"HUB_STORAGE": "s3", "HUB_DELIVERY": "redirect"}
    check_clean(hub)
    hub.start()
    check_reading(hub, key)
    assert is_redirected(hub, seaweed, key)
    check_working(hub, key)

    hub.stop()
    assert "Everything is copied." in hub.manage("movestore", "--to", "filesystem")
    hub.settings |= {"HUB_STORAGE": "filesystem", "HUB_DELIVERY": "stream"}
    check_clean(hub)
    hub.start()
    check_reading(hub, key, LATER)


@pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="there is no PostgreSQL to move into")
@pytest.mark.parametrize("to", ["postgresql", "sqlite"])
def test_database_moves_to_postgresql_and_back(to: str, tmp_path: Path) -> None:
    with own_services() as services:
        sqlite = f"sqlite:///{tmp_path / 'data' / 'hub.sqlite3'}"
        urls = {"sqlite": sqlite, "postgresql": services["DATABASE_URL"]}
        before = next(url for kind, url in urls.items() if kind != to)
        hub = LiveHub(tmp_path / "data", **services | {"DATABASE_URL": before}, HUB_ADMIN_PASSWORD=PASSWORD)
        hub.start()
        try:
            key = fill(hub)
            hub.stop()
            hub.settings |= {"DATABASE_URL": urls[to]}
            hub.manage("migrate")
            assert " rows of " in hub.manage("movedatabase", "--from", before)
            check_clean(hub)
            hub.start()
            check_reading(hub, key)
            check_working(hub, key)
            assert found_by_search(hub, "dummy-a")
        finally:
            hub.kill()


def lose_everything(hub: LiveHub) -> None:
    """Delete the data folder and, with a database server, recreate an empty database."""
    shutil.rmtree(hub.data_dir)
    if url := hub.environment.get("DATABASE_URL"):
        server = urlsplit(url)
        with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {server.path[1:]} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {server.path[1:]}")


def check_clean(hub: LiveHub) -> None:
    """Check that database, index files and store agree. The command fails if they differ."""
    hub.manage("verify", "--hash")


def check_reading(hub: LiveHub, key: str, *more: str) -> None:
    for shards in (True, False):
        reader = Reader(f"{hub.url}/demo", {"BearerToken": key}, shards=shards)
        assert set(reader.records()) == PATHS | {f"linux-64/{name}" for name in more}
    assert set(reader.install(*SPECS)) >= INSTALLED


def check_working(hub: LiveHub, key: str) -> None:
    """Check that an old key can upload, the index is updated, and the administrator can sign in."""
    seconds_to_upload(hub, "demo", [SHARED_PACKAGES / "linux-64" / LATER], key)
    seconds_until_indexed(hub, "demo", "linux-64", [*FILES["linux-64"], LATER], key)
    signs_in = "from django.contrib.auth import authenticate"
    credentials = f"username='admin', password='{PASSWORD}'"
    assert hub.shell(f"{signs_in}\nanswer = authenticate(None, {credentials}) is not None")


def found_by_search(hub: LiveHub, name: str) -> bool:
    actor = "Actor(user=User.objects.get(username='admin'))"
    code = "from channels_app.access.permissions import Actor\nfrom channels_app.search import views as search\n"
    return bool(hub.shell(f"{code}answer = search.find_packages({actor}, '{name}').exists()"))
