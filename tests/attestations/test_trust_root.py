"""The trust root: the Sigstore instance, its daily refresh by TUF, and the root in use after a failure."""

import json
import logging
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pytest_django import Settings
from securesystemslib.signer import CryptoSigner
from sigstore_models.trustroot.v1 import TrustedRoot
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from deploy.local import free_port
from hub.errors import HubError
from publishing.apps import check_trust_root
from publishing.attestations import trust_root, trust_root_age
from tests import sigstore

# A refresh holds a lock, which PostgreSQL provides if it is the database.
pytestmark = pytest.mark.django_db

LATER = datetime.now(UTC) + timedelta(days=365)


@pytest.fixture(autouse=True)
def data_dir(settings: Settings, tmp_path: Path) -> Path:
    settings.HUB_DATA_DIR = tmp_path / "data"
    settings.HUB_TUF_URL = settings.HUB_TUF_ROOT = settings.HUB_TRUST_ROOT = ""
    return tmp_path / "data" / "trust_root"


class Repository:
    """A TUF repository in a folder, with one key for every role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signer = CryptoSigner.generate_ecdsa()
        (folder / "targets").mkdir(parents=True)
        root = Root(expires=LATER, consistent_snapshot=False)
        for role in ("root", "timestamp", "snapshot", "targets"):
            root.add_key(self.signer.public_key, role)
        self._write("1.root.json", root)

    def publish(self, version: int, trusted_root_json: str) -> None:
        target = self.folder / "targets" / "trusted_root.json"
        target.write_text(trusted_root_json)
        info = TargetFile.from_file("trusted_root.json", str(target))
        targets = Targets(version=version, expires=LATER, targets={"trusted_root.json": info})
        self._write("targets.json", targets)
        self._write(
            "snapshot.json", Snapshot(version=version, expires=LATER, meta={"targets.json": MetaFile(version=version)})
        )
        self._write(
            "timestamp.json", Timestamp(version=version, expires=LATER, snapshot_meta=MetaFile(version=version))
        )

    def _write(self, name: str, content: Any) -> None:
        metadata: Metadata[Any] = Metadata(content)
        metadata.sign(self.signer)
        metadata.to_file(str(self.folder / name))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def repository(settings: Settings, tmp_path: Path) -> Iterator[Repository]:
    """Serve a TUF repository of this test's own Sigstore instance over HTTP, and set up the hub for it."""
    made = Repository(tmp_path / "tuf")
    made.publish(1, sigstore.instance().trusted_root_json)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=made.folder))
    Thread(target=server.serve_forever, daemon=True).start()
    settings.HUB_TUF_URL = f"http://127.0.0.1:{server.server_port}"
    settings.HUB_TUF_ROOT = str(made.folder / "1.root.json")
    yield made
    server.shutdown()
    server.server_close()


def logs_of(root: TrustedRoot) -> list[bytes]:
    return [log.log_id.key_id for log in root.tlogs]


def own_log(name: str = "own") -> list[bytes]:
    return [sigstore.instance(name).log.log_id]


def make_old(path: Path, age: timedelta) -> None:
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(path, (moment, moment))


def test_at_first_the_shipped_root_of_the_public_instance_is_used() -> None:
    hosts = [log.base_url for log in trust_root.current().tlogs]
    assert "https://rekor.sigstore.dev" in hosts
    assert trust_root_age.refreshed_at() is None


def test_a_refresh_brings_the_root_of_the_repository(repository: Repository, data_dir: Path) -> None:
    trust_root.refresh()
    assert logs_of(trust_root.current()) == own_log()
    refreshed_at = trust_root_age.refreshed_at()
    assert refreshed_at is not None
    assert datetime.now(UTC) - refreshed_at < timedelta(minutes=1)
    assert sorted(path.name for path in data_dir.iterdir()) == ["metadata", "trusted_root.json"]


def test_trust_root_within_a_day_is_not_fetched(repository: Repository) -> None:
    trust_root.refresh()
    repository.publish(2, sigstore.instance("other").trusted_root_json)
    trust_root.refresh()
    assert logs_of(trust_root.current()) == own_log()


def test_after_a_day_a_newer_root_takes_over(repository: Repository, data_dir: Path) -> None:
    trust_root.refresh()
    repository.publish(2, sigstore.instance("other").trusted_root_json)
    make_old(data_dir / "trusted_root.json", timedelta(days=2))
    trust_root.refresh()
    assert logs_of(trust_root.current()) == own_log("other")


@pytest.mark.parametrize(("age", "level"), [(timedelta(days=2), "WARNING"), (timedelta(days=31), "ERROR")])
def test_the_last_good_root_stays(
    repository: Repository, data_dir: Path, caplog: pytest.LogCaptureFixture, age: timedelta, level: str
) -> None:
    trust_root.refresh()
    (repository.folder / "timestamp.json").write_text("{}")
    make_old(data_dir / "trusted_root.json", age)
    with caplog.at_level(logging.WARNING, logger="publishing"):
        trust_root.refresh()
    assert logs_of(trust_root.current()) == own_log()
    assert [record.levelname for record in caplog.records] == [level]
    assert "The trust root could not be refreshed, that of 20" in caplog.text
    assert trust_root_age.is_old() is (level == "ERROR")


def test_refresh_without_network_at_the_first_start_is_one_calm_line(
    settings: Settings, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings.HUB_TUF_URL = f"http://127.0.0.1:{free_port()}"
    with caplog.at_level(logging.INFO, logger="publishing"):
        trust_root.refresh()
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_refresh_from_a_spoilt_repository_at_the_first_start_is_an_error(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    (repository.folder / "timestamp.json").write_text("{}")
    with caplog.at_level(logging.INFO, logger="publishing"):
        trust_root.refresh()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize("content", ["{}", "no JSON", '{"mediaType": "other"}'])
def test_a_root_that_can_not_be_read_does_not_replace_one(repository: Repository, content: str) -> None:
    repository.publish(2, content)
    trust_root.refresh()
    assert trust_root_age.refreshed_at() is None
    assert "https://rekor.sigstore.dev" in [log.base_url for log in trust_root.current().tlogs]


def test_a_root_with_another_hash_is_not_taken(repository: Repository) -> None:
    other = repository.folder / "targets" / "trusted_root.json"
    other.write_text(sigstore.instance("other").trusted_root_json)
    trust_root.refresh()
    assert trust_root_age.refreshed_at() is None


def test_a_repository_signed_by_another_key_is_not_taken(
    repository: Repository, settings: Settings, tmp_path: Path
) -> None:
    settings.HUB_TUF_ROOT = str(Repository(tmp_path / "another").folder / "1.root.json")
    trust_root.refresh()
    assert trust_root_age.refreshed_at() is None


def test_a_spoilt_file_gives_way_to_the_shipped_one(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "trusted_root.json").write_text("{")
    assert "https://rekor.sigstore.dev" in [log.base_url for log in trust_root.current().tlogs]
    assert "can't be read" in caplog.text


def test_a_private_instance_is_never_refreshed_nor_replaced(
    repository: Repository, settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "private.json"
    path.write_text(sigstore.instance("other").trusted_root_json)
    settings.HUB_TRUST_ROOT = str(path)
    trust_root.refresh()
    assert trust_root_age.refreshed_at() is None
    assert logs_of(trust_root.current()) == own_log("other")
    assert not trust_root_age.is_old()
    path.write_text(json.dumps({}))
    with pytest.raises(HubError, match="no readable trust root"):
        trust_root.current()


def test_a_private_root_must_be_readable_at_the_start(settings: Settings, tmp_path: Path) -> None:
    assert check_trust_root() == []
    settings.HUB_TRUST_ROOT = str(tmp_path / "missing.json")
    [error] = check_trust_root()
    assert error.msg.startswith(
        f"HUB_TRUST_ROOT is {settings.HUB_TRUST_ROOT!r}, which is no readable trusted_root.json"
    )
