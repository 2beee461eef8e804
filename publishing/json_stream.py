"""JSON that is read in pieces: a large document is never in memory as a whole. Without Django and models."""

import json
from collections.abc import Iterator
from typing import Any

from hub.sizes import KIB

READ_CHARACTERS = 256 * KIB
WHITESPACE = " \t\n\r"


class BadJson(ValueError):  # noqa: N818
    """The document is no JSON, or not of the expected form. The message is the reason."""


class JsonStream:
    """A JSON text, of which only the current value, and a piece, are in memory.

    A value of more than `value_max_characters` is refused.
    """

    def __init__(self, texts: Iterator[str], *, value_max_characters: int) -> None:
        self._texts, self._value_max = texts, value_max_characters
        self._text, self._at, self._is_over = "", 0, False
        self._decode = json.JSONDecoder().raw_decode

    def members(self) -> Iterator[str]:
        """Yield the key of each member of the object that begins here. The caller reads its value. Raise BadJson."""
        self._expect("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            key = self.value()
            if not isinstance(key, str):
                raise BadJson("expected the name of a key")
            self._expect(":")
            yield key
            if self._next() == "}":
                self._at += 1
                return
            self._expect(",")

    def value(self) -> Any:
        """Return the value that begins here. Raise BadJson."""
        self._next()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except RecursionError as error:
                raise BadJson("a value is nested too deeply") from error
            except ValueError as error:
                if self._is_over:
                    raise BadJson(f"it is no valid JSON: {error}") from error
                self._read()
                continue
            # A number at the end of the text may go on.
            if end == len(self._text) and not self._is_over:
                self._read()
                continue
            self._at = end
            return value

    def _expect(self, character: str) -> None:
        if (found := self._next()) != character:
            raise BadJson(f"found {found}; expected {character}")
        self._at += 1

    def _next(self) -> str:
        """Skip white space, and return the next character."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in WHITESPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_over:
                raise BadJson("it ends early")
            self._read()

    def _read(self) -> None:
        """Append pieces, as many as are held, so that a large value costs linear time. Drop the text before."""
        held = self._text[self._at :]
        if len(held) > self._value_max:
            raise BadJson("one of its values is too large")
        pieces, wanted = [held], min(max(READ_CHARACTERS, len(held)), self._value_max - len(held) + 1)
        while wanted > 0 and not self._is_over:
            piece = next(self._texts, None)
            self._is_over = piece is None
            pieces.append(piece or "")
            wanted -= len(pieces[-1])
        self._text, self._at = "".join(pieces), 0
