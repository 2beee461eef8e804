"""Backup of a hub into a folder (database, packages and secrets), and restore from it.

The database is saved before the store is copied, so the copy has every file that the database names. Index files and
shards are not saved: the restore rebuilds them from the database. The manifest is written last and marks the backup as
complete.
"""

import json
import os
import sqlite3
import subprocess  # nosec B404  # no shell, see below
from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from channels_app.models import Artifact, Channel, User
from hub import VERSION
from hub.locks import try_lock
from hub.storage import store
from hub.storage.folder import FolderStore
from publishing.transfer.store_copy import Totals, copy, is_index

MANIFEST = "manifest.json"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
PACKAGES = "channels"
SECRETS = "secrets"
# A single transaction: the old database stays until the restore is complete.
PG_RESTORE = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--no-comments", "--single-transaction")


class BackupError(Exception):
    """The backup failed, or it can't be restored."""


def backup(folder: Path, *, with_store: bool) -> Iterator[str]:
    """Create or update the backup in `folder`. Yield progress lines. Raise BackupError if another one runs."""
    check_apart(folder)
    with try_lock("backup") as held:
        if not held:
            raise BackupError("Another backup is running; wait until it ends.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = folder / DATABASES[connection.vendor]
        # Counted before the database is saved, so the counts never exceed its rows.
        manifest = _manifest(with_store=with_store)
        saved = database.with_suffix(".new")
        _save_database(saved)
        yield f"The database is saved: {saved.stat().st_size / 1e6:,.1f} MB."
        _save_secrets(folder / SECRETS)
        if with_store:
            yield from _copied(copy(store(), FolderStore(folder / PACKAGES), select=_needs_backup))
        saved.replace(database)
        _write_private(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def restore(folder: Path, *, overwrite: bool, only_store: bool = False) -> Iterator[str]:
    """Replace this hub's data with the backup in `folder` and rebuild the indexes. Yield progress lines."""
    check_apart(folder)
    manifest = _read_manifest(folder)
    if not only_store:
        if not overwrite:
            _check_unused()
        _restore_database(folder / DATABASES[connection.vendor])
        call_command("migrate", interactive=False, verbosity=0)
        yield f"The database of {manifest['made_at']} is restored: {User.objects.count()} users."
        yield from _restore_secrets(folder / SECRETS)
    if manifest["with_store"]:
        yield from _copied(copy(FolderStore(folder / PACKAGES), store()))
    for name in Channel.objects.values_list("name", flat=True):
        call_command("reindex", name, stdout=StringIO())
        yield f"The index of {name} is rebuilt."


def check_apart(folder: Path) -> None:
    """Refuse a backup's folder that shares files with the hub's own: a loss of one would be a loss of both."""
    target = folder.resolve()
    for word, own in _own_folders().items():
        if target.is_relative_to(own) or own.is_relative_to(target):
            where = "is" if target == own else "is within" if target.is_relative_to(own) else "holds"
            raise BackupError(f"The folder {target} {where} the hub's own {word}, {own}; expected one apart from it.")


def _own_folders() -> dict[str, Path]:
    found = {"data folder": Path(settings.HUB_DATA_DIR).resolve()}
    if isinstance(own := store(), FolderStore):
        found["store"] = Path(own.root)
    if connection.vendor == "sqlite":
        found["database"] = Path(settings.DATABASES["default"]["NAME"]).resolve()
    return found


def _needs_backup(key: str) -> bool:
    return not is_index(key)


def _copied(running: Iterator[Totals]) -> Iterator[str]:
    totals = Totals()
    for totals in running:
        yield f"Packages: {totals}."
    if totals.wrong:
        raise BackupError(f"Not copied, since their bytes differ from the database: {', '.join(totals.wrong)}.")


def _manifest(*, with_store: bool) -> dict[str, Any]:
    models = (User, Channel, Artifact)
    return {
        "version": VERSION,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "database": connection.vendor,
        "with_store": with_store,
        "counts": {model._meta.model_name: model._base_manager.count() for model in models},
        "migrations": sorted(".".join(key) for key in MigrationRecorder(connection).applied_migrations()),
    }


def _read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest. Raise BackupError if the backup can't be restored into this hub."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        raise BackupError(f"{folder} has no readable {MANIFEST}; expected a folder that `backup` has filled.") from None
    if manifest["database"] != connection.vendor:
        raise BackupError(
            f"The backup is of {manifest['database']}, DATABASE_URL of {connection.vendor}: restore it into the same "
            "kind of database, then move with `manage.py movedatabase`."
        )
    known = {".".join(key) for key in MigrationLoader(None).disk_migrations}
    if unknown := sorted(set(manifest["migrations"]) - known):
        raise BackupError(f"The backup is of a newer hub ({manifest['version']}), with the migration {unknown[0]}.")
    return manifest


def _check_unused() -> None:
    has_tables = User._meta.db_table in connection.introspection.table_names()
    if has_tables and (User.objects.exists() or Channel.objects.exists()):
        raise BackupError(
            f"This hub has {User.objects.count()} users and {Channel.objects.count()} channels, which the backup would "
            "replace; use --overwrite to replace them."
        )


def _save_database(path: Path) -> None:
    _write_private(path, "")
    if connection.vendor == "sqlite":
        _copy_sqlite(settings.DATABASES["default"]["NAME"], path)
    else:
        _run_postgres("pg_dump", "--format=custom", f"--file={path}")


def _restore_database(path: Path) -> None:
    connection.close()
    if connection.vendor == "sqlite":
        _copy_sqlite(path, settings.DATABASES["default"]["NAME"])
    else:
        _run_postgres("pg_restore", *PG_RESTORE, str(path))


def _copy_sqlite(source: str | Path, target: str | Path) -> None:
    """Copy a consistent snapshot with SQLite's backup API, even during writes."""
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def _run_postgres(program: str, *arguments: str) -> None:
    """Run a PostgreSQL client program on this hub's database, with the password in its environment."""
    config = connection.settings_dict
    (_, *server, name), environment = DatabaseClient.settings_to_cmd_args_env(config, [])
    command = [program, "--no-password", *server, f"--dbname={name}", *arguments]
    try:
        subprocess.run(  # nosec B603  # a command of ours, as a list
            command, env=os.environ | (environment or {}), capture_output=True, text=True, check=True
        )
    except FileNotFoundError:
        raise BackupError(f"There is no program {program} here; install PostgreSQL's client programs.") from None
    except subprocess.CalledProcessError as error:
        raise BackupError(f"{program} failed: {error.stderr.strip() or 'it printed no reason'}") from None


def _save_secrets(folder: Path) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    for path, value in _secrets().items():
        _write_private(folder / path.name, value)


def _restore_secrets(folder: Path) -> Iterator[str]:
    """Restore the secrets in the data folder. Yield a message for each secret that the environment sets instead."""
    for path in _secrets():
        if path.exists():
            _write_private(path, (folder / path.name).read_text())
        else:
            yield f"{path.name} comes from the environment and stays; the backup's is in {folder / path.name}."


def _secrets() -> dict[Path, str]:
    """Return path → secret. The path is used unless the environment sets the secret."""
    data = Path(settings.HUB_DATA_DIR)
    return {
        data / "secret_key": settings.SECRET_KEY,
        data / "oidc_private_key.pem": settings.IDP_OIDC_PRIVATE_KEY,
    }


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner."""
    new = path.with_name(f"{path.name}.part")
    with os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
