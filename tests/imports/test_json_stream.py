"""Tests of JSON that arrives in pieces: it is read as the whole text is, and never held as a whole."""

import json
from collections.abc import Iterator

import pytest

from publishing.json_stream import BadJson, JsonStream

DOCUMENT = {"a": {"x": 12345, "y": "é\n"}, "b": {}, "c": {"z": [1.5e3, None, {"deep": True}]}, "d": {"w": 7}}


def pieces(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def read(texts: Iterator[str], most: int = 1000) -> dict[str, dict[str, object]]:
    stream = JsonStream(texts, value_max_characters=most)
    return {section: {key: stream.value() for key in stream.members()} for section in stream.members()}


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("indent", [None, 2])
def test_document_in_pieces_is_read_as_the_whole(
    monkeypatch: pytest.MonkeyPatch, size: int, indent: int | None
) -> None:
    monkeypatch.setattr("publishing.json_stream.READ_CHARACTERS", 1)
    assert read(pieces(json.dumps(DOCUMENT, indent=indent), size)) == DOCUMENT


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a"}', '{"a":{},}', '{"a":{} "b":{}}', "{1:{}}", '{"a":{"b":tru}}', '{"a":{"b":[[[}}']
)
def test_text_that_is_no_object_of_objects_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        read(pieces(text, 3))


def test_value_over_the_limit_is_refused_before_it_is_read_whole() -> None:
    texts = pieces('{"a":{"b":"' + "x" * 1_000_000 + '"}}', 100)
    with pytest.raises(BadJson, match="too large"):
        read(texts)
    assert sum(map(len, texts)) > 990_000
