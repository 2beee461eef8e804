"""Tests of invisible and control characters: pages and log lines show their numbers."""

import io
import json
import logging
import sys
import unicodedata

import pytest
from gunicorn.config import Config

from hub.observability.logs import FORMATTERS
from hub.plain_text import lines, one_line, visible
from hub.server.gunicorn_conf import logger_class

# Blank characters, whatever their Unicode category.
BLANK = "\u034f\u115f\u1160\u17b4\u180b\u2800\u3164\uffa0\ufe00\U000e0100"
NASTY = (
    "\x00\x07\x08\x0b\x0c\x1b\x7f\x85\x9b\xad\u061c\u180e\u200b\u200d\u200e\u202a\u202e\u2060\u2066\u2069\ufeff"
    "\U000e0041"
)
# Visible characters of category Cf: Arabic, Syriac and Kaithi signs before numbers.
SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"


def unseen() -> list[str]:
    """Return all controls, formats, line separators and lone surrogates of Unicode."""
    every = map(chr, range(sys.maxunicode + 1))
    return [each for each in every if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_every_unseen_character_is_shown_by_its_number() -> None:
    for character in [*unseen(), *BLANK]:
        if character in "\t\n\r" or character in SIGNS:
            continue
        assert visible(f"a{character}b") == f"a[U+{ord(character):04X}]b"
        assert one_line(f"a{character}b").isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain",
        "Größe\tund\nmehr",
        "日本語",
        "❤\ufe0f",
        "नमस्ते",
        "שלום",
        "\u0645\u06cc\u200c\u0631\u0648\u0645",
        "क्\u200dष",
    ],
)
def test_visible_characters_stay_unchanged(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("emoji", ["👩\u200d💻", "❤\ufe0f\u200d🔥", "🏳\ufe0f\u200d🌈"])
def test_emoji_of_several_stay_one(emoji: str) -> None:
    assert visible(f"a {emoji} b") == f"a {emoji} b"


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_joiners_without_neighbours_are_shown(joiner: str) -> None:
    number = f"[U+{ord(joiner):04X}]"
    assert visible(f"{joiner}numpy a{joiner}b я{joiner}") == f"{number}numpy a{number}b я{number}"
    assert visible(f"я{joiner}{joiner}я") == f"я{number}{number}я"
    assert one_line(f"я{joiner}я").count("\\u200") == 1


def test_text_with_line_breaks_becomes_one_line() -> None:
    assert one_line("a\nb\r\nc\u2028d\u2029e\x85f\x1b[2Jg\th") == r"a\nb\r\nc\u2028d\u2029e\x85f\x1b[2Jg\th"
    assert len(one_line(NASTY).splitlines()) == 1
    assert one_line("\ud800") == r"\ud800"


def test_lines_of_a_trace_can_not_be_taken_for_others() -> None:
    assert lines("a\nb\x1b[0m\n2026") == "  a\n  b\\x1b[0m\n  2026"


@pytest.mark.parametrize("name", FORMATTERS)
@pytest.mark.parametrize("what", ["message", "argument", "exception", "extra"])
def test_every_line_of_the_log_is_fit(name: str, what: str) -> None:
    stream, evil = io.StringIO(), f"x{NASTY}\n2026-01-01 00:00:00,000 ERROR hub.access [-]: forged\u2028\r\n"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(FORMATTERS[name]())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError(evil if what == "exception" else "x")
    except ValueError:
        logger.exception(
            evil if what == "message" else "found %s",
            *([] if what == "message" else [evil if what == "argument" else "x"]),
            extra={"path": evil if what == "extra" else "/"},
        )
    text = stream.getvalue()
    said = "".join(map(str, json.loads(text).values())) if name == "json" else text
    assert not any(character in said for character in NASTY + "\u2028\r")
    assert not any(line.startswith("2026-01-01") for line in said.split("\n"))
    assert len(text.splitlines()) == (1 if name == "json" else text.count("\n"))
    assert all(line.startswith("  ") for line in text.split("\n")[1:-1])


def test_the_access_log_of_the_web_server_is_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gunicorn.glogging.Logger.atoms", lambda *_: {"r": "GET /\x1b[2J\n", "{x}i": "a\u202eb"})
    assert logger_class(Config()).atoms() == {"r": r"GET /\x1b[2J\n", "{x}i": r"a\u202eb", "u": "-"}
