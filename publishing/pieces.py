"""The ready pieces of an index: for each package name its fragments (in the database) and its shard (in the store)."""

import hashlib
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.core.mail import mail_admins
from django.db import DatabaseError, transaction
from rattler import RepoData

from channels_app import audit
from channels_app.models import Artifact
from hub.storage import store
from publishing import repodata
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex
from publishing.repodata import Revision, Section

NAMES_AT_ONCE = 200
PUTS_AT_ONCE = 8
# Wide, and in no record.
UNUSED = ("about_json", "features", "files", "licences", "provenance", "warnings")
CANARY = Revision(0, 0, 0)
# What the machine lacks says nothing of a record: a parser of clients raises none of these.
MACHINE_ERRORS = (OSError, DatabaseError, MemoryError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """What one name contributes: section → ready JSON, and its shard, which is empty where nothing is listed."""

    fragments: dict[str, str]
    shard: bytes
    sha256: str


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Make the pieces of `names` anew: shards to the store first, then, in one transaction a batch, the rest.

    Returns the names that were made: all, or the first of them, where time.monotonic() passes `deadline`.
    """
    return in_batches(names, NAMES_AT_ONCE, partial(_remake, index), deadline)


def in_batches(names: list[str], size: int, make: Callable[[list[str]], object], deadline: float | None) -> list[str]:
    """`make` batches of `names` until the deadline; at least one. Returns the names in them."""
    end = 0
    while end < len(names) and (end == 0 or deadline is None or time.monotonic() < deadline):
        make(names[end : end + size])
        end += size
    return names[:end]


def _remake(index: SubdirIndex, names: list[str]) -> None:
    made = _pieces(index, names)
    _put_shards(index, [piece for piece in made.values() if piece.shard])
    _save(index, made)


def expected(index: SubdirIndex, names: Sequence[str]) -> dict[str, Piece]:
    """The pieces of `names` as their artifacts would have them, whether or not clients can read them."""
    return {name: _piece(artifacts) for name, artifacts in _rows(index, names).items()}


def _rows(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[Artifact]]:
    rows: dict[str, list[Artifact]] = {name: [] for name in names}
    found = Artifact.objects.filter(channel=index.channel, subdir=index.subdir, package__name__in=names)
    listed = found.filter(set_aside_reason="").select_related("package").defer(*UNUSED)
    for artifact in listed.order_by("file_name"):
        rows[artifact.package.name].append(artifact)
    return rows


def _pieces(index: SubdirIndex, names: Sequence[str]) -> dict[str, Piece]:
    """The pieces of `names`, all of them readable by py-rattler; a record that is not is set aside and left out."""
    rows = _rows(index, names)
    try:
        return _readable_pieces(index.subdir, rows)
    except MACHINE_ERRORS:
        raise
    except Exception:
        logger.exception("%s: a record can't be read by clients; looking for it", index)
        return _readable_pieces(index.subdir, {name: _without_poison(index, rows[name]) for name in names})


def _without_poison(index: SubdirIndex, rows: list[Artifact]) -> list[Artifact]:
    """The artifacts whose record can be read; the others are set aside and the administrators told."""
    readable = []
    for row in rows:
        try:
            _readable_pieces(index.subdir, {row.package.name: [row]})
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001  whatever a client's parser may throw
            _set_aside(row, f"{type(error).__name__}: {error}")
        else:
            readable.append(row)
    return readable


@transaction.atomic
def _set_aside(artifact: Artifact, reason: str) -> None:
    artifact.set_aside_reason = reason[:1000]
    artifact.save(update_fields=["set_aside_reason"])
    audit.record("artifact.set_aside", channel=artifact.channel, target=f"{artifact}", detail={"reason": reason[:1000]})
    transaction.on_commit(lambda: mail_admins(f"{artifact} was left out of its index", reason, fail_silently=True))


def _readable_pieces(subdir: str, rows: Mapping[str, list[Artifact]]) -> dict[str, Piece]:
    """Make the pieces and parse all of them once as the clients will.

    Raises whatever the parser raises, and MACHINE_ERRORS where the file for it can't be written.
    """
    made = {name: _piece(artifacts) for name, artifacts in rows.items()}
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix="canary-", suffix=".json") as file:
        for part in repodata.repodata_layout(subdir, CANARY):
            if isinstance(part, Section):
                part = ",".join(filter(None, (piece.fragments.get(part.name) for piece in made.values())))
            file.write(part.encode())
        file.flush()
        RepoData.from_path(file.name)
    return made


def _piece(artifacts: Sequence[Artifact]) -> Piece:
    fragments = repodata.fragments(artifacts)
    if not repodata.listed_rows(artifacts):
        return Piece(fragments, b"", "")
    shard = repodata.shard(artifacts)
    return Piece(fragments, shard, hashlib.sha256(shard).hexdigest())


def _put_shards(index: SubdirIndex, made: Sequence[Piece]) -> None:
    folder = f"{index.channel.name}/{index.subdir}"
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        list(pool.map(lambda piece: store().put(f"{folder}/{repodata.shard_file(piece.sha256)}", piece.shard), made))


@transaction.atomic
def _save(index: SubdirIndex, made: Mapping[str, Piece]) -> None:
    """Replace the fragments of these names, and retire the shards that no name has any more."""
    rows = list(index.names.filter(name__in=made))
    before = {row.shard_sha256 for row in rows if row.shard_sha256}
    after = {piece.sha256 for piece in made.values() if piece.shard}
    index.fragments.filter(name__in=made).delete()
    Fragment.objects.bulk_create(
        Fragment(index=index, section=section, name=name, body=body)
        for name, piece in made.items()
        for section, body in piece.fragments.items()
    )
    for row in rows:
        row.shard_sha256 = made[row.name].sha256
    IndexedName.objects.bulk_update(rows, ["shard_sha256"], batch_size=NAMES_AT_ONCE)
    index.retired_shards.filter(sha256__in=after).delete()
    retired = [RetiredShard(index=index, sha256=sha256) for sha256 in before - after]
    RetiredShard.objects.bulk_create(retired, ignore_conflicts=True)
