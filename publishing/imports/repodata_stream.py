"""Records of a `repodata.json` that is read in pieces: conda-forge's has 300 MB, its parsed form five times as much."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from hub.sizes import MIB
from publishing.json_stream import BadJson, JsonStream

SECTIONS = ("packages", "packages.conda")
# A record or a value at the top level that is larger is no repodata.
VALUE_MAX_CHARACTERS = 64 * MIB


class Entry(NamedTuple):
    """An entry of the document. `record` is None for a file name in `removed`."""

    file_name: str
    record: dict[str, Any] | None


def entries(texts: Iterator[str], info: dict[str, Any]) -> Iterator[Entry]:
    """Yield the records and the removed file names of a document, and update `info` by its `info`.

    Holds one value in memory. Raise BadJson.
    """
    stream = JsonStream(texts, value_max_characters=VALUE_MAX_CHARACTERS)
    for section in stream.members():
        if section in SECTIONS:
            yield from _records(stream, "")
        elif section == "v3":
            for extension in stream.members():
                yield from _records(stream, f".{extension}")
        else:
            value = stream.value()
            if section == "info" and isinstance(value, dict):
                info |= value
            if section == "removed" and isinstance(value, list):
                yield from (Entry(name, None) for name in value if isinstance(name, str))


def _records(stream: JsonStream, suffix: str) -> Iterator[Entry]:
    for name in stream.members():
        record = stream.value()
        if not isinstance(record, dict):
            raise BadJson(f"the record of {name[:100]!r} is no object")
        yield Entry(name + suffix, record)
