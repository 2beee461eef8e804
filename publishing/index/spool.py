"""A spool on disk for fragments and shards, between their artifacts and the database and the store."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import zstandard
from django.conf import settings

from hub import temporary
from hub.sizes import KIB
from hub.storage import hashed

# A larger fragment is stored in parts. Each part ends with the record that exceeds this size.
PART_BYTES = 64 * KIB
PARTS_AT_ONCE = 200
# Larger shards are compressed from file to file, not in memory.
SHARD_IN_MEMORY_BYTES = 128 * KIB


class Part(NamedTuple):
    """A fragment (number 0) or a part of a large one (numbers from 1), and the position of its JSON in the file."""

    name: str
    section: str
    number: int
    start: int
    end: int


class Shard(NamedTuple):
    """The compressed shard of a name, in memory or in a file."""

    content: bytes | Path
    sha256: str

    def read(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


class Spool:
    """The fragments and shards of names, added name by name. Use it as a context manager."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.shards: dict[str, Shard] = {}
        self._entries: dict[str, list[str]] = {}
        self._characters: dict[str, int] = {}
        self._spans: dict[str, list[tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("fragments"))
        self._file = Path(self._folder.name, "fragments").open("w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._folder.cleanup()

    def add(self, section: str, entry: str) -> None:
        """Add JSON to a section of the current name, without the comma between entries."""
        self._entries.setdefault(section, []).append(entry)
        self._characters[section] = self._characters.get(section, 0) + len(entry)
        if self._characters[section] >= PART_BYTES:
            self._write(section)

    def end(self, name: str) -> None:
        """Close the current name: everything added since the last call belongs to `name`."""
        for section in [section for section, entries in self._entries.items() if entries]:
            self._write(section)
        for section, spans in self._spans.items():
            start, end = spans[0]
            is_whole = len(spans) == 1 and end - start <= PART_BYTES
            self.parts += [Part(name, section, n, *span) for n, span in enumerate(spans, start=0 if is_whole else 1)]
        self._entries, self._characters, self._spans = {}, {}, {}

    def names_in(self, section: str) -> set[str]:
        """Return the names that have the section."""
        return {part.name for part in self.parts if part.section == section}

    def add_shard(self, name: str, chunks: Iterable[bytes]) -> None:
        """Compress the shard of `name` into one zstd frame with its content size."""
        with tempfile.SpooledTemporaryFile(SHARD_IN_MEMORY_BYTES, dir=self._folder.name) as plain:
            for chunk in chunks:  # writelines would hold all of them in memory
                plain.write(chunk)
            size_bytes = plain.tell()
            plain.seek(0)
            if size_bytes <= SHARD_IN_MEMORY_BYTES:
                content = zstandard.compress(plain.read())
                self.shards[name] = Shard(content, hashlib.sha256(content).hexdigest())
                return
            path = Path(self._folder.name, f"shard-{len(self.shards)}")
            with path.open("wb") as file:
                zstandard.ZstdCompressor().copy_stream(plain, file, size=size_bytes)
            self.shards[name] = Shard(path, file_sha256(path))

    def batches(self) -> Iterator[list[tuple[Part, str]]]:
        """Yield all parts with their JSON, in batches."""
        for start in range(0, len(self.parts), PARTS_AT_ONCE):
            yield [(part, self._body(part)) for part in self.parts[start : start + PARTS_AT_ONCE]]

    def _write(self, section: str) -> None:
        start = self._file.seek(0, 2)
        self._file.write(",".join(self._entries[section]).encode())
        self._spans.setdefault(section, []).append((start, self._file.tell()))
        self._entries[section], self._characters[section] = [], 0

    def _body(self, part: Part) -> str:
        self._file.seek(part.start)
        return self._file.read(part.end - part.start).decode()


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashed(iter(lambda: file.read(PART_BYTES), b""))
