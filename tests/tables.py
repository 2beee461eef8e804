"""Databases with the tables of an empty hub. Migrations take seconds, so one process of a test run makes each."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.environment import shared

MANAGE = (sys.executable, str(Path(__file__).parent.parent / "manage.py"))
# Variables that a hub reads: a live hub gets them from its test only.
HUB_VARIABLES = ("HUB_", "AWS_", "DATABASE_URL", "REDIS_URL", "SECRET_KEY")


@cache
def in_sqlite() -> Path:
    """Return the file of a database with empty tables."""
    folder = shared / "tables"
    folder.mkdir(exist_ok=True)
    _once(folder, lambda: _migrate(folder))
    return folder / "hub.sqlite3"


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
