"""The check of records by a client's own parser, before they are stored as fragments."""

import tempfile
from collections.abc import Sequence
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError
from rattler import RepoData

from hub import temporary
from publishing.index import repodata
from publishing.index.repodata import Revision, Section

CANARY = Revision(0, 0, 0)
# Errors of this machine, not of a record: no client's parser raises them.
MACHINE_ERRORS = (OSError, DatabaseError, MemoryError)


class ArtifactEntry(NamedTuple):
    """The part of one artifact: section → JSON, and its packed entry in the shard."""

    texts: dict[str, str]
    packed: bytes


def parse_as_clients(subdir: str, entries: Sequence[ArtifactEntry]) -> None:
    """Parse the records as clients do.

    Raise the parser's exception on failure, and one of MACHINE_ERRORS if the file for it can't be written.
    """
    with tempfile.NamedTemporaryFile(
        dir=settings.UPLOAD_DIR, prefix=temporary.prefix("canary"), suffix=".json"
    ) as file:
        for part in repodata.repodata_layout(subdir, CANARY):
            if isinstance(part, Section):
                part = ",".join(entry.texts[part.name] for entry in entries if part.name in entry.texts)
            file.write(part.encode())
        file.flush()
        RepoData.from_path(file.name)
