"""JSON that every parser reads alike: no NaN, duplicate keys, lone surrogates or NUL; numbers fit into 64 bits."""

import codecs
import json
import math
from collections import Counter
from typing import Any, NoReturn

from hub.sizes import human_size
from publishing.wording import quote

INTEGER_MAX = 2**63 - 1
INTEGER_MAX_DIGITS = 20


class NotStrictJson(Exception):  # noqa: N818 (its name is a sentence)
    """A document is not JSON that every parser reads alike; `reason` is one sentence that names the document."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooDeepJson(NotStrictJson):
    """A document is nested deeper than allowed."""


class TooDeepError(ValueError):
    """A value is nested deeper than allowed."""


def loads(data: bytes, name: str, max_bytes: int, max_depth: int) -> Any:
    """Return the value of a document. Raise NotStrictJson; its reason calls the document `name`."""
    if len(data) > max_bytes:
        raise NotStrictJson(f"{name} is larger than the {human_size(max_bytes)} allowed")
    if not data.strip():
        raise NotStrictJson(f"{name} is empty; expected a JSON document")
    check_no_mark(data, name)
    try:
        value = DECODER.decode(data.decode("utf-8"))
        check(value, max_depth)
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"{name} is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    except (RecursionError, TooDeepError) as error:
        raise TooDeepJson(f"{name} is nested deeper than the {max_depth} levels allowed") from error
    except ValueError as error:
        raise NotStrictJson(f"{name} is not strict JSON: {error}") from error
    return value


def loads_object(data: bytes, name: str, max_bytes: int, max_depth: int) -> dict[str, Any]:
    """Return the value of a document. Raise NotStrictJson if it is invalid or no object."""
    value = loads(data, name, max_bytes, max_depth)
    if not isinstance(value, dict):
        raise NotStrictJson(f"{name} holds {kind(value)}; expected an object")
    return value


def check_no_mark(data: bytes, name: str) -> None:
    """Refuse a byte order mark: some readers of UTF-8 skip it, others read it as a character."""
    if data.startswith(codecs.BOM_UTF8):
        raise NotStrictJson(f"{name} begins with a byte order mark; save it as UTF-8 without one")


def kind(value: object) -> str:
    """Return the type of `value` in the terms of JSON."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def check(value: Any, levels_left: int) -> None:
    """Raise ValueError for depth and for strings that the decoder accepts but other parsers refuse."""
    match value:
        case str():
            _check_string(value)
        case dict() | list() if not levels_left:
            raise TooDeepError("it is nested too deep")
        case dict():
            for key, child in value.items():
                _check_string(key)
                check(child, levels_left - 1)
        case list():
            for child in value:
                check(child, levels_left - 1)


def _check_string(value: str) -> None:
    if "\x00" in value:
        raise ValueError(f"{quote(value)} holds a NUL")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{quote(value)} holds a lone surrogate") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {quote(twice)} stands twice in one object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_MAX_DIGITS or abs(int(digits)) > INTEGER_MAX:
        raise ValueError(f"the number {quote(digits)} does not fit into 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {quote(digits)} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no value of JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
