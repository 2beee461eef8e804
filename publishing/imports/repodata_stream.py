"""Records of a `repodata.json` that is read in pieces: conda-forge's has 300 MB, its parsed form five times as much."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hub.sizes import MIB

SECTIONS = ("packages", "packages.conda")
# A record or a value at the top level that is larger is no repodata.
VALUE_MAX_CHARACTERS = 64 * MIB


class BadIndexError(ValueError):
    """The document is no repodata. The message says why."""


class Entry(NamedTuple):
    """An entry of the document. `record` is None for a file name in `removed`."""

    file_name: str
    record: dict[str, Any] | None


def entries(texts: Iterator[str], info: dict[str, Any]) -> Iterator[Entry]:
    """Yield the records and the removed file names of a document, and update `info` by its `info`.

    Holds one value in memory. Raise BadIndexError.
    """
    reader = _Reader(texts)
    for section in reader.members():
        if section in SECTIONS:
            yield from _records(reader, "")
        elif section == "v3":
            for extension in reader.members():
                yield from _records(reader, f".{extension}")
        else:
            value = reader.value()
            if section == "info" and isinstance(value, dict):
                info |= value
            if section == "removed" and isinstance(value, list):
                yield from (Entry(name, None) for name in value if isinstance(name, str))


def _records(reader: "_Reader", suffix: str) -> Iterator[Entry]:
    for name in reader.members():
        record = reader.value()
        if not isinstance(record, dict):
            raise BadIndexError(f"the record of {name[:100]!r} is no object")
        yield Entry(name + suffix, record)


@dataclass(slots=True)
class _Reader:
    """A reader of JSON text that keeps one value, and a piece, in memory."""

    texts: Iterator[str]
    _text: str = ""
    _at: int = 0
    _decoder: json.JSONDecoder = field(default_factory=json.JSONDecoder)

    def members(self) -> Iterator[str]:
        """Yield the key of each member of the object that begins here. The caller reads its value."""
        self._expect("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise BadIndexError("a key of it is no text")
            self._expect(":")
            yield key
            if self._next() == "}":
                self._at += 1
                return
            self._expect(",")

    def value(self) -> Any:
        """Return the value that begins here."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if not isinstance(error, json.JSONDecodeError) or not self._read_more():
                    raise BadIndexError(f"it is no JSON: {error}") from None
                continue
            # A number at the end may go on in the next piece.
            if end < len(self._text) or not self._read_more():
                self._at = end
                return value

    def _next(self) -> str:
        """Skip white space, and return the next character; "" at the end."""
        while True:
            while self._at < len(self._text):
                if not self._text[self._at].isspace():
                    return self._text[self._at]
                self._at += 1
            if not self._read_more():
                return ""

    def _expect(self, character: str) -> None:
        if (found := self._next()) != character:
            raise BadIndexError(f"found {found!r}; expected {character!r}")
        self._at += 1

    def _read_more(self) -> bool:
        """Drop the text before the position and append the next piece. Return False at the end."""
        more = next(self.texts, "")
        self._text, self._at = self._text[self._at :] + more, 0
        if len(self._text) > VALUE_MAX_CHARACTERS:
            raise BadIndexError("one of its values is too large")
        return bool(more)
