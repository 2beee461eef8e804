"""Export of a channel: the packages that the hub holds, with an index of them alone, as a plain conda channel.

Of an upstream channel, the hub holds the cached packages. Records are those that clients see.
"""

import json
import tempfile
from codecs import iterdecode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from channels_app.models import Channel, ChannelKind
from hub import temporary
from hub.storage import NotInStore, Store, hashed, kept, store
from publishing.imports.repodata_stream import SECTIONS, VALUE_MAX_CHARACTERS
from publishing.json_stream import JsonStream
from publishing.models import CachedFile

INDEX = "repodata.json"
Record = dict[str, Any]
Keep = Callable[[str, Record], bool]


@dataclass(slots=True)
class Export:
    """A running export to `target`, and its counts of packages and sidecars.

    `lost` names the files that the store lacks, and `wrong` those whose bytes differ from their records. Both are left
    out.
    """

    channel: Channel
    target: Store
    copied: int = 0
    present: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def run(self) -> Iterator[str]:
        """Copy the packages of each subdir that the target lacks, then write its index. Yield the subdir.

        Raise StoreError. Another run goes on.
        """
        indexes = self.channel.indexes.filter(label="", builds__gt=0).exclude(subdir="").order_by("subdir")
        for subdir in indexes.values_list("subdir", flat=True):
            self._export(subdir, self._keep(subdir))
            yield subdir

    def _keep(self, subdir: str) -> Keep:
        """Return a function that copies the package of a record, and tells whether the target has it."""
        if self.channel.kind != ChannelKind.UPSTREAM:
            return lambda name, record: self._put(f"{subdir}/{name}", record)
        files = CachedFile.objects.filter(channel=self.channel, subdir=subdir, is_listed=True)
        cached = set(files.values_list("file_name", flat=True))
        return lambda name, record: name in cached and self._put(f"{subdir}/{name}", record)

    def _export(self, subdir: str, keep: Keep) -> None:
        texts = iterdecode(store().open(f"{self.channel}/{subdir}/{INDEX}"), "utf-8")
        document = JsonStream(texts, value_max_characters=VALUE_MAX_CHARACTERS)
        with _temporary_file() as path:
            with path.open("w", encoding="utf-8") as index:
                index.writelines(_filtered(document, keep))
            self.target.put(f"{subdir}/{INDEX}", path, content_type="application/json")

    def _put(self, path: str, record: Record) -> bool:
        """Bring a package with its attestations. Return False if it is lost or wrong."""
        if not self._bring(path, path, record["sha256"]):
            return False
        sidecar = record.get("attestations_sha256")
        if sidecar and self._has_sidecar(f"{path}.sigs.{sidecar}"):
            self._bring(f"{path}.sigs.{sidecar}", f"{path}.sigs", sidecar)
        return True

    def _has_sidecar(self, path: str) -> bool:
        """Tell whether the hub should have the sidecar: that of an upstream's package only if a client asked for it."""
        return self.channel.kind != ChannelKind.UPSTREAM or store().stat(f"{self.channel}/{path}") is not None

    def _bring(self, source: str, path: str, sha256: str) -> bool:
        """Copy the channel's file at `source` to `path`, unless the target has it. Return False if it is not there."""
        if self.target.stat(path) and hashed(self.target.open(path)) == sha256:
            self.present += 1
            return True
        with _temporary_file() as file:
            try:
                found = hashed(kept(store().open(f"{self.channel}/{source}"), file))
            except NotInStore:
                self.lost.append(source)
                return False
            if found != sha256:
                self.wrong.append(source)
                return False
            self.target.put(path, file)
        self.copied += 1
        return True


@contextmanager
def _temporary_file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("export")) as folder:
        yield Path(folder, "file")


def _filtered(document: JsonStream, keep: Keep) -> Iterator[str]:
    """Yield the text of an index without the records for which `keep` is false. Raise BadJson."""

    def records(suffix: str) -> Iterator[str]:
        def pieces(name: str) -> Iterable[str]:
            record = document.value()
            return [json.dumps(record)] if keep(name + suffix, record) else []

        return _object(document, pieces)

    def section(name: str) -> Iterable[str]:
        if name in SECTIONS:
            return records("")
        if name == "v3":
            return _object(document, lambda extension: records(f".{extension}"))
        return [json.dumps(document.value())]

    return _object(document, section)


def _object(document: JsonStream, member: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """Yield the text of an object. `member` reads the value of a key; without pieces, the key is left out."""
    yield "{"
    comma = ""
    for key in document.members():
        for number, piece in enumerate(member(key)):
            yield piece if number else f"{comma}{json.dumps(key)}:{piece}"
            comma = ","
    yield "}"
