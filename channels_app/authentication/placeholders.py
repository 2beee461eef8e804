"""Placeholders that are sent instead of a key: words of examples, names of variables, empty values."""

import re
from contextlib import suppress

# A variable that was not replaced by its value, in shells, PowerShell, cmd, GitHub Actions or templates.
VARIABLE = re.compile(r"\$\w+|\$\{+[^{}]*\}*|\$\([^)]*\)?|\$env:\w+|%\w+%|\{\{[^{}]*\}*|\{\w+\}", re.IGNORECASE)
# The text of an unset variable in several programs.
UNSET = re.compile(r"none|null|nil|undefined|nan|\(null\)|\[object Object\]|''|\"\"", re.IGNORECASE)
# A secret that a CI or a page has hidden, and the words of examples.
HIDDEN = re.compile(r"[*•.…xX_-]{3,}|…|\[?(?:masked|hidden|redacted|secret)\]?", re.IGNORECASE)
WORDS = re.compile(
    r"(?:(?:(?:my|your|the|prefix|hub|channelhub|conda|api|access|auth|bearer|upload|read|secret|insert|paste)[\s_-]*)*"
    r"(?:key|token|secret)(?:[\s_-]*(?:here|value))?)|change[\s_-]?me|<(?!chub-).*>|\[.*key.*\]|chub-(?:[.…*xX]*|key|your.*)",
    re.IGNORECASE,
)

# A key with quotes or brackets that no shell removed, or with a word that the client adds by itself.
MARKS = r"\"'`\u2018-\u201f\u00ab\u00bb\u2039\u203a"
QUOTED = re.compile(rf"[{MARKS}<\[(].+|.+[{MARKS}>\])]")
PREFIXED = re.compile(
    r"(?:(?:authorization|bearer|basic|token|x-api-key|x-jfrog-art-api|api[\s_-]?key|key)[\s:=]++)+.+|[\w.-]+\s*[:=]\s*chub-.*",
    re.IGNORECASE | re.DOTALL,
)
# The first match is used.
KINDS = {
    "variable": VARIABLE,
    "unset": UNSET,
    "hidden": HIDDEN,
    "word": WORDS,
    "prefixed": PREFIXED,
    "quoted": QUOTED,
}
# Longer texts are not placeholders. The patterns above take quadratic time.
MAX_CHARACTERS = 200


def kind(secret: str) -> str:
    """Return the kind of placeholder that `secret` is; empty if it may be a key.

    The kinds are `empty`, `variable`, `unset`, `hidden` and `word`. `prefixed` and `quoted` texts may contain a key.
    """
    text = secret.strip()
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()  # WSGI servers decode the UTF-8 of headers as Latin-1
    if not text:
        return "empty"
    if len(text) > MAX_CHARACTERS:
        return ""
    return next((name for name, pattern in KINDS.items() if pattern.fullmatch(text)), "")
