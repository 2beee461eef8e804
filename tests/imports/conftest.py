"""Fixtures: a source, and imports from it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.imports import imports, runs
from publishing.imports.imports import Wanted
from publishing.models import Import
from tests.imports.source import SourceServer, make_source, source_server

Importing = Callable[..., Import]


@pytest.fixture
def source(tmp_path: Path, settings: Settings) -> Iterator[SourceServer]:
    with source_server(make_source(tmp_path / "source"), settings) as server:
        yield server


@pytest.fixture
def start(source: SourceServer, channel: Channel, olga: User) -> Importing:
    """Return a function that starts an import by olga; its keywords are those of Wanted."""

    def start(**values: object) -> Import:
        wanted = Wanted(**{"source": source.url, "subdirs": ["noarch", "linux-64"]} | values)  # type: ignore[arg-type]
        return imports.start(actor=Actor(user=olga), channel=channel, wanted=wanted)

    return start


@pytest.fixture
def imported(start: Importing) -> Importing:
    """Return a function that runs an import to its end, and returns its row."""

    def imported(**values: object) -> Import:
        job = start(**values)
        runs.run(job.pk)
        job.refresh_from_db()
        return job

    return imported
