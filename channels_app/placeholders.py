"""Texts that stand where a key should: words of examples, names of variables, empty values. PURE."""

import re
from contextlib import suppress

# A variable that was not replaced by its value: of shells, PowerShell, cmd, GitHub Actions, templates.
VARIABLE = re.compile(r"\$\w+|\$\{+[^}]*\}*|\$\([^)]*\)?|\$env:\w+|%\w+%|\{\{[^}]*\}*|\{\w+\}", re.IGNORECASE)
# An unset variable, as programs write it.
UNSET = re.compile(r"none|null|nil|undefined|nan|\(null\)|\[object Object\]|''|\"\"", re.IGNORECASE)
# A secret that a CI or a page has hidden, and the words of examples.
HIDDEN = re.compile(r"[*•.…xX_-]{3,}|…|\[?(?:masked|hidden|redacted|secret)\]?", re.IGNORECASE)
WORDS = re.compile(
    r"(?:(?:(?:my|your|the|prefix|hub|channelhub|conda|api|access|auth|bearer|upload|read|secret|insert|paste)[\s_-]*)*"
    r"(?:key|token|secret)(?:[\s_-]*(?:here|value))?)|change[\s_-]?me|<(?!chub-).*>|\[.*key.*\]|chub-(?:[.…*xX]*|key|your.*)",
    re.IGNORECASE,
)


def kind(secret: str) -> str:
    """`empty`, `variable`, `unset`, `hidden` or `word` for what is no key; empty for what may be one."""
    text = secret.strip()
    with suppress(UnicodeError):
        text = text.encode("latin-1").decode()  # of a header, whose UTF-8 servers read as Latin-1
    if not text:
        return "empty"
    kinds = {"variable": VARIABLE, "unset": UNSET, "hidden": HIDDEN, "word": WORDS}
    return next((name for name, pattern in kinds.items() if pattern.fullmatch(text)), "")
