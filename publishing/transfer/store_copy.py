"""Copy of one store into another: missing and changed files, and only packages with the SHA-256 of the database.

A copy removes nothing and skips files that the target has already, so it can run at any time and repeatedly.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.conf import settings

from channels_app.models import Artifact
from hub import temporary
from hub.storage import NotInStore, Stat, Store, StoreError, hashed, kept
from hub.storage.checks import PREFIX
from publishing.index import repodata
from publishing.models import CachedFile

AT_ONCE = 8
KEYS_AT_ONCE = 500


class WrongBytesError(Exception):
    """The SHA-256 of a package's bytes differs from the database."""


@dataclass(slots=True)
class Totals:
    seen: int = 0
    copied: int = 0
    copied_bytes: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.seen:,} files seen, {self.copied:,} copied ({self.copied_bytes / 1e6:,.1f} MB)"


@dataclass(frozen=True, slots=True)
class StoreCopy:
    source: Store
    target: Store

    def copy(self, key: str, stat: Stat, sha256: str | None) -> int | None:
        """Copy the file at `key` and return its size. Return None if the target has it or the source lost it.

        Raise WrongBytesError if its SHA-256 is not `sha256`.
        """
        found = self.target.stat(key)
        is_same = found and found.size_bytes == stat.size_bytes and found.modified_at >= stat.modified_at
        if is_same and not is_rewritten(key):
            return None
        with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("copy")) as folder:
            path = Path(folder, "file")
            try:
                read_sha256 = hashed(kept(self.source.open(key), path))
            except NotInStore:
                return None
            if sha256 and read_sha256 != sha256:
                raise WrongBytesError(key)
            size_bytes = path.stat().st_size
            self.target.put(key, path, content_type=_content_type(key))
        self._check(key, size_bytes)
        return size_bytes

    def _check(self, key: str, size_bytes: int) -> None:
        found = self.target.stat(key)
        if found is None or found.size_bytes != size_bytes:
            raise StoreError(f"{key} was put with {size_bytes} bytes and has {found and found.size_bytes}")


def copy(source: Store, target: Store, *, select: Callable[[str], bool] = bool) -> Iterator[Totals]:
    """Copy every key for which `select` is true. Yield the totals after every few hundred keys."""
    totals = Totals()
    entries = ((key, stat) for key, stat in source.stats("") if select(key) and not key.startswith(f"{PREFIX}/"))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while batch := dict(islice(entries, KEYS_AT_ONCE)):
            _copy_batch(pool, StoreCopy(source, target), batch, totals)
            yield totals


def is_index(key: str) -> bool:
    """Tell whether the key is an index file or a shard, which can be rebuilt from the database."""
    return is_rewritten(key) or "/shards/" in key


def is_rewritten(key: str) -> bool:
    """Tell whether the key is an index file, which may change without a change of its size."""
    name = key.rpartition("/")[2]
    files = (*repodata.SUBDIR_FILES, *repodata.UNPATCHED_FILES, *repodata.CHANNEL_FILES)
    return not {name, name.removesuffix(".zst")}.isdisjoint(files)


def _copy_batch(pool: ThreadPoolExecutor, copying: StoreCopy, batch: Mapping[str, Stat], totals: Totals) -> None:
    totals.seen += len(batch)
    wrong = _copy_keys(pool, copying, batch, totals)
    # Second try: the package may have been overwritten after its row was read.
    totals.wrong += _copy_keys(pool, copying, {key: batch[key] for key in wrong}, totals)


def _copy_keys(pool: ThreadPoolExecutor, copying: StoreCopy, batch: Mapping[str, Stat], totals: Totals) -> list[str]:
    """Copy a batch of keys and return those with wrong bytes."""
    digests = _digests(list(batch))
    copies = {key: pool.submit(copying.copy, key, stat, digests.get(key)) for key, stat in batch.items()}
    wrong = []
    for key, copied in copies.items():
        try:
            size_bytes = copied.result()
        except WrongBytesError:
            wrong.append(key)
        else:
            totals.copied += size_bytes is not None
            totals.copied_bytes += size_bytes or 0
    return wrong


def _digests(keys: list[str]) -> dict[str, str]:
    """Return key → SHA-256 for the keys that are artifacts or cached packages."""
    parts = [key.split("/") for key in keys if key.count("/") == 2]
    place = {
        "channel__name__in": {channel for channel, _, _ in parts},
        "file_name__in": {name for _, _, name in parts},
    }
    found, cached = Artifact.objects.filter(**place), CachedFile.objects.filter(**place)
    columns = ("channel__name", "subdir", "file_name", "sha256")
    rows = found.values_list(*columns).union(cached.values_list(*columns), all=True)
    return {f"{channel}/{subdir}/{name}": sha256 for channel, subdir, name, sha256 in rows}


def _content_type(key: str) -> str:
    return "application/json" if key.endswith(".json") else "application/octet-stream"
