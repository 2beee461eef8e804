"""Instructions shaped as conda-forge's give the records of conda-index 0.13.0, recorded by `bench.patches --save`."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.patches import imports
from tests.builders import make_artifact
from tests.patches.indexes import built, document, records, unpatched_records
from tests.patches.packages import encoded

pytestmark = pytest.mark.django_db
RECORDED = json.loads(Path(__file__).with_name("by_conda_index.json").read_text())
SUBDIR = "linux-64"


def make_records(channel: Channel) -> None:
    for file_name, index in RECORDED["documents"].items():
        place = (index["name"], index["version"], index["build"])
        extension = ".conda" if file_name.endswith(".conda") else ".tar.bz2"
        make_artifact(channel, *place, subdir=SUBDIR, extension=extension, index_json=index)


def without_null(record: dict[str, Any]) -> dict[str, Any]:
    """Return the record without keys that conda-index adds with null, as conda can't read these."""
    return {key: value for key, value in record.items() if value is not None}


def test_import_gives_the_records_of_conda_index(channel: Channel, olga: User) -> None:
    make_records(channel)
    built(channel)
    before = records(subdir=SUBDIR)
    file = BytesIO(encoded(RECORDED["instructions"]))
    outcome = imports.import_file(actor=Actor(user=olga), channel=channel, file=file, source="p.json", subdir=SUBDIR)
    built(channel)
    theirs = RECORDED["result"]
    expected = {
        name: without_null(record)
        for section in ("packages", "packages.conda")
        for name, record in theirs[section].items()
    }
    assert records(subdir=SUBDIR) == expected
    assert sorted(document(f"{SUBDIR}/repodata.json")["removed"]) == sorted(set(theirs["removed"]))
    assert unpatched_records(SUBDIR) == before
    assert outcome.preview.record_count == len(
        [name for name in before if name not in expected or expected[name] != before[name]]
    )
