"""What names contribute to an index, on its way into the database and the store: on disk, however much it is."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import zstandard
from django.conf import settings

from hub import temporary
from hub.storage import hashed

# A fragment of up to this size is whole; a larger one is in parts, each ended by the record that makes it so long.
PART_BYTES = 64 * 1024
PARTS_AT_ONCE = 200
# Larger shards are compressed from file to file.
SHARD_IN_MEMORY_BYTES = 128 * 1024


class Part(NamedTuple):
    """A fragment, 0, or one of the parts of a large one, from 1 on; and where its JSON lies in the file."""

    name: str
    section: str
    number: int
    start: int
    end: int


class Shard(NamedTuple):
    """A name's shard, compressed, in memory or in a file."""

    content: bytes | Path
    sha256: str

    def read(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


class Spool:
    """The fragments and shards of names; entries are added name by name. Use it as a context manager."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.shards: dict[str, Shard] = {}
        self._entries: dict[str, list[str]] = {}
        self._characters: dict[str, int] = {}
        self._spans: dict[str, list[tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("pieces"))
        self._file = Path(self._folder.name, "fragments").open("w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._folder.cleanup()

    def add(self, section: str, entry: str) -> None:
        """Add JSON to a section of the name that is being made, without the comma between it and the next one."""
        self._entries.setdefault(section, []).append(entry)
        self._characters[section] = self._characters.get(section, 0) + len(entry)
        if self._characters[section] >= PART_BYTES:
            self._write(section)

    def end(self, name: str) -> None:
        """What was added since the last end is of `name`, and all that there is of it."""
        for section in [section for section, entries in self._entries.items() if entries]:
            self._write(section)
        for section, spans in self._spans.items():
            start, end = spans[0]
            is_whole = len(spans) == 1 and end - start <= PART_BYTES
            self.parts += [Part(name, section, n, *span) for n, span in enumerate(spans, start=0 if is_whole else 1)]
        self._entries, self._characters, self._spans = {}, {}, {}

    def add_shard(self, name: str, chunks: Iterable[bytes]) -> None:
        """Compress the shard of `name`, as one frame that carries its content's size."""
        with tempfile.SpooledTemporaryFile(SHARD_IN_MEMORY_BYTES, dir=self._folder.name) as plain:
            for chunk in chunks:  # writelines would take all of them into memory
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
        """All parts with their JSON, some at a time."""
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
