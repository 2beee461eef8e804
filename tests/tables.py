"""Databases with the tables of an empty hub. Migrations take seconds, so one process of a test run makes each.

The file of SQLite stays in `build` for later runs, until the migrations change.
"""

import fcntl
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.environment import shared

ROOT = Path(__file__).parent.parent
MANAGE = (sys.executable, str(ROOT / "manage.py"))
OWN_IMPORT = re.compile(r"^from ((?:hub|channels_app|publishing)[\w.]*) import (\w+)", re.MULTILINE)
# Variables that a hub reads: a live hub gets them from its test only.
HUB_VARIABLES = ("HUB_", "AWS_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY")


@cache
def in_sqlite() -> Path:
    """Return the file of a database with empty tables."""
    folder = ROOT / "build" / "tables" / sha256(b"".join(map(Path.read_bytes, _sources()))).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    _once(folder, lambda: _migrate(folder))
    return folder / "hub.sqlite3"


def _sources() -> list[Path]:
    """Return the migrations, our modules that they import, and the locked versions of libraries."""
    migrations = sorted(ROOT.glob("*/migrations/*.py"))
    names = {found.groups() for path in migrations for found in OWN_IMPORT.finditer(path.read_text())}
    modules = [ROOT / f"{package.replace('.', '/')}/{name}.py" for package, name in sorted(names)]
    return [*migrations, *filter(Path.exists, modules), ROOT / "requirements.txt"]


@cache
def in_postgresql(url: str) -> str:
    """Return the name of a database with empty tables on the server at `url`."""
    name = f"channelhub_tables_{shared.name}".lower().replace("-", "_")
    folder = shared / name
    folder.mkdir(exist_ok=True)
    _once(folder, lambda: _make_in_postgresql(url, name, folder))
    return name


def _make_in_postgresql(url: str, name: str, folder: Path) -> None:
    server = urlsplit(url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    _migrate(folder, DATABASE_URL=server._replace(path=f"/{name}").geturl())


def copy_to_memory(name: str) -> sqlite3.Connection:
    """Fill the database `name` in memory. It lasts as long as a connection to it, such as the one returned."""
    connection = sqlite3.connect(name, uri=True, check_same_thread=False)
    with sqlite3.connect(in_sqlite()) as source:
        source.backup(connection)
    return connection


def _once(folder: Path, make: Callable[[], None]) -> None:
    """Call `make` unless another process did. Wait for one that is at it."""
    made = folder / "made"
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not made.exists():
            make()
            made.touch()


def _migrate(folder: Path, **variables: str) -> None:
    environment = inherited_environment() | {"HUB_DATA_DIR": str(folder)} | variables
    subprocess.run([*MANAGE, "migrate", "--verbosity=0"], env=environment, check=True)


def inherited_environment() -> dict[str, str]:
    """Return the variables of this process that no hub reads."""
    return {name: value for name, value in os.environ.items() if not name.startswith(HUB_VARIABLES)}
