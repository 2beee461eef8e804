"""Backups: refusals, and complete backups stay complete. tests/clients/test_rehearsals.py runs real ones."""

import hashlib
import json
import stat
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings

from channels_app.models import Channel, User
from hub.locks import try_lock
from hub.storage import store
from publishing.transfer import backups
from tests.builders import make_artifact

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "demo/noarch/demo-1.0-0.conda"


@pytest.fixture
def folder(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for a backup. The save of the database is faked."""
    monkeypatch.setattr(backups, "_save_database", lambda path: path.write_text("rows"))
    settings.HUB_DATA_DIR = tmp_path / "data"
    settings.HUB_DATA_DIR.mkdir()
    return tmp_path / "backup"


def backup(folder: Path, *options: str) -> str:
    output = StringIO()
    call_command("backup", str(folder), *options, stdout=output)
    return output.getvalue()


def put_package(channel: Channel, content: bytes = b"package") -> None:
    make_artifact(channel, sha256=hashlib.sha256(b"package").hexdigest(), size_bytes=len(content))
    for key in (KEY, "demo/noarch/repodata.json", "demo/noarch/shards/1.msgpack.zst"):
        store().put(key, content)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


OWN_FOLDERS = ["data", "data/backup", "data/../data/backup", ".", "store", "store/demo", "link"]


@pytest.mark.parametrize("name", OWN_FOLDERS)
@pytest.mark.parametrize("command", ["backup", "restore"])
def test_folder_of_the_hubs_own_is_refused(
    channel: Channel, folder: Path, name: str, command: str, store_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(store_folder)
    (tmp_path / "store").symlink_to(store_folder)
    put_package(channel)
    before = files(tmp_path)

    sentence = r"The folder \S+ (is|is within|holds) the hub's own \w+.*; expected one apart"
    with pytest.raises(CommandError, match=sentence):
        call_command(command, str(tmp_path / name))

    assert files(tmp_path) == before


def test_a_backup_has_all_that_cannot_be_made_anew(channel: Channel, folder: Path) -> None:
    put_package(channel)

    output = backup(folder)

    database = backups.DATABASES[connection.vendor]
    secrets = {"secrets/secret_key", "secrets/oidc_private_key.pem"}
    assert files(folder) == {"manifest.json", database, f"channels/{KEY}", *secrets}
    assert "Packages: 1 files seen, 1 copied (0.0 MB)." in output
    assert "is complete. It holds secrets: keep it as safe as the hub." in output
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["counts"] == {"user": 1, "channel": 1, "artifact": 1}
    assert "publishing.0001_initial" in manifest["migrations"]


def test_only_the_owner_reads_the_secrets(folder: Path, settings: Settings) -> None:
    backup(folder)

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secrets" / "secret_key").stat().st_mode) == 0o600
    assert (folder / "secrets" / "secret_key").read_text() == settings.SECRET_KEY


def test_packages_can_be_left_to_the_bucket(channel: Channel, folder: Path) -> None:
    put_package(channel)

    backup(folder, "--without-store")

    assert not (folder / "channels").exists()
    assert json.loads((folder / "manifest.json").read_text())["with_store"] is False


def test_damaged_package_fails_the_backup_and_keeps_the_former_one(channel: Channel, folder: Path) -> None:
    put_package(channel)
    backup(folder)
    before = (folder / "manifest.json").read_text()
    store().put(KEY, b"flipped, and longer")

    with pytest.raises(
        CommandError, match=f"not complete. Not copied, since their bytes differ from the database: {KEY}."
    ):
        backup(folder)

    assert (folder / "manifest.json").read_text() == before
    assert (folder / "channels" / KEY).read_bytes() == b"package"


def test_there_is_one_backup_at_a_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("one session may take its own advisory lock twice")
    with try_lock("backup"), pytest.raises(CommandError, match=r"Another backup is running; wait until it ends."):
        backup(folder)


def changed(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | values))

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "has no readable manifest.json; expected a folder that"),
        (changed(database="oracle"), "The backup is of oracle, DATABASE_URL of"),
        (changed(migrations=["publishing.9999_later"]), r"of a newer hub \(.*\), with the migration publishing.9999"),
        (lambda folder: None, "This hub has 1 users and 0 channels, which the backup would replace"),
    ],
    ids=["empty", "another database", "newer", "used"],
)
def test_restore_of_a_bad_backup_is_refused_before_any_change(
    change: Callable[[Path], None], sentence: str, olga: User, folder: Path
) -> None:
    backup(folder)
    change(folder)

    with pytest.raises(CommandError, match=f"The restore is not complete. .*{sentence}"):
        call_command("restore", str(folder))

    assert User.objects.get() == olga


def test_packages_alone_come_back_with_their_indexes(channel: Channel, folder: Path) -> None:
    put_package(channel)
    backup(folder)
    for key in list(store().list("demo")):
        store().delete(key)
    output = StringIO()

    call_command("restore", str(folder), "--only-store", stdout=output)

    assert b"".join(store().open(KEY)) == b"package"
    assert b"demo-1.0-0.conda" in b"".join(store().open("demo/noarch/repodata.json"))
    assert "The index of demo is rebuilt." in output.getvalue()


def test_secrets_of_the_environment_stay(folder: Path, settings: Settings) -> None:
    backup(folder)
    kept = settings.HUB_DATA_DIR / "secret_key"
    kept.write_text("made at the start")

    lines = list(backups._restore_secrets(folder / "secrets"))

    assert kept.read_text() == settings.SECRET_KEY
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(lines) == 1
    assert lines[0].startswith("oidc_private_key.pem comes from the environment and stays; the backup's is in ")


def test_missing_postgresql_program_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(backups.BackupError, match="There is no program pg_dump here; install PostgreSQL's client"):
        backups._run_postgres("pg_dump")


def test_output_of_a_failed_postgresql_program_is_shown() -> None:
    with pytest.raises(backups.BackupError, match="false failed: it printed no reason"):
        backups._run_postgres("false")
