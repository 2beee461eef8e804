"""Per-package parts of an index: the fragments of a package name (in the database) and its shard (in the store)."""

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

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.models import Artifact
from hub.storage import store
from publishing.index import repodata
from publishing.index.repodata import Revision, Section
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex

NAMES_AT_ONCE = 200
PUTS_AT_ONCE = 8
# Large columns that no record contains.
UNUSED = ("about_json", "features", "files", "licences", "provenance", "warnings")
CANARY = Revision(0, 0, 0)
# Errors of the machine, not of a record: a client's parser raises none of these.
MACHINE_ERRORS = (OSError, DatabaseError, MemoryError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackageFragments:
    """The fragments of one package name, section → JSON, and its shard, which is empty if no artifact is listed."""

    fragments: dict[str, str]
    shard: bytes
    sha256: str


def remake(index: SubdirIndex, names: list[str], deadline: float | None = None) -> list[str]:
    """Rebuild the fragments of `names`: first put the shards into the store, then save the rows.

    Each batch is one transaction. Returns the names that were made before time.monotonic() passed `deadline`.
    """
    return in_batches(names, NAMES_AT_ONCE, partial(_remake, index), deadline)


def in_batches(names: list[str], size: int, make: Callable[[list[str]], object], deadline: float | None) -> list[str]:
    """Call `make` with batches of `names` until the deadline, at least once. Return the names in these batches."""
    end = 0
    while end < len(names) and (end == 0 or deadline is None or time.monotonic() < deadline):
        make(names[end : end + size])
        end += size
    return names[:end]


def _remake(index: SubdirIndex, names: list[str]) -> None:
    made = _package_fragments(index, names)
    _put_shards(index, [each for each in made.values() if each.shard])
    _save(index, made)


def expected(index: SubdirIndex, names: Sequence[str]) -> dict[str, PackageFragments]:
    """Build the fragments of `names` from their artifacts, without a check that clients can read them."""
    return {name: _build_fragments(artifacts) for name, artifacts in _rows(index, names).items()}


def _rows(index: SubdirIndex, names: Sequence[str]) -> dict[str, list[Artifact]]:
    rows: dict[str, list[Artifact]] = {name: [] for name in names}
    found = Artifact.objects.filter(channel=index.channel, subdir=index.subdir, package__name__in=names)
    listed = found.filter(set_aside_reason="").select_related("package").defer(*UNUSED)
    for artifact in listed.order_by("file_name"):
        rows[artifact.package.name].append(artifact)
    return rows


def _package_fragments(index: SubdirIndex, names: Sequence[str]) -> dict[str, PackageFragments]:
    """Build the fragments of `names` and quarantine every record that py-rattler can't read."""
    rows = _rows(index, names)
    try:
        return _parsed_fragments(index.subdir, rows)
    except MACHINE_ERRORS:
        raise
    except Exception:
        logger.exception("%s: a record can't be read by clients; looking for it", index)
        return _parsed_fragments(index.subdir, {name: _readable_rows(index, rows[name]) for name in names})


def _readable_rows(index: SubdirIndex, rows: list[Artifact]) -> list[Artifact]:
    """Return the artifacts with readable records. Quarantine the others and notify the administrators."""
    readable = []
    for row in rows:
        try:
            _parsed_fragments(index.subdir, {row.package.name: [row]})
        except MACHINE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001  a client's parser may raise any exception
            _quarantine(row, f"{type(error).__name__}: {error}")
        else:
            readable.append(row)
    return readable


@transaction.atomic
def _quarantine(artifact: Artifact, reason: str) -> None:
    artifact.set_aside_reason = reason[:1000]
    artifact.save(update_fields=["set_aside_reason"])
    log.record(
        Action.ARTIFACT_SET_ASIDE, channel=artifact.channel, target=f"{artifact}", detail={"reason": reason[:1000]}
    )
    transaction.on_commit(lambda: mail_admins(f"{artifact} was left out of its index", reason, fail_silently=True))


def _parsed_fragments(subdir: str, rows: Mapping[str, list[Artifact]]) -> dict[str, PackageFragments]:
    """Build the fragments and parse them together with py-rattler.

    Raise the parser's exception on failure, and one of MACHINE_ERRORS if the file for it can't be written.
    """
    made = {name: _build_fragments(artifacts) for name, artifacts in rows.items()}
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix="canary-", suffix=".json") as file:
        for part in repodata.repodata_layout(subdir, CANARY):
            if isinstance(part, Section):
                part = ",".join(filter(None, (each.fragments.get(part.name) for each in made.values())))
            file.write(part.encode())
        file.flush()
        RepoData.from_path(file.name)
    return made


def _build_fragments(artifacts: Sequence[Artifact]) -> PackageFragments:
    fragments = repodata.fragments(artifacts)
    if not repodata.listed_rows(artifacts):
        return PackageFragments(fragments, b"", "")
    shard = repodata.shard(artifacts)
    return PackageFragments(fragments, shard, hashlib.sha256(shard).hexdigest())


def _put_shards(index: SubdirIndex, made: Sequence[PackageFragments]) -> None:
    folder = f"{index.channel.name}/{index.subdir}"
    with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
        list(pool.map(lambda each: store().put(f"{folder}/{repodata.shard_file(each.sha256)}", each.shard), made))


@transaction.atomic
def _save(index: SubdirIndex, made: Mapping[str, PackageFragments]) -> None:
    """Replace the fragments of these names, and retire the shards that are no longer in use."""
    rows = list(index.names.filter(name__in=made))
    before = {row.shard_sha256 for row in rows if row.shard_sha256}
    after = {each.sha256 for each in made.values() if each.shard}
    index.fragments.filter(name__in=made).delete()
    Fragment.objects.bulk_create(
        Fragment(index=index, section=section, name=name, body=body)
        for name, each in made.items()
        for section, body in each.fragments.items()
    )
    for row in rows:
        row.shard_sha256 = made[row.name].sha256
    IndexedName.objects.bulk_update(rows, ["shard_sha256"], batch_size=NAMES_AT_ONCE)
    index.retired_shards.filter(sha256__in=after).delete()
    retired = [RetiredShard(index=index, sha256=sha256) for sha256 in before - after]
    RetiredShard.objects.bulk_create(retired, ignore_conflicts=True)
