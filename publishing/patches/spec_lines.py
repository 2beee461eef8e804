"""Changes of a list of specs as lines of text, for the form of a rule. Without I/O.

`+ spec` adds, `- spec` removes, `old -> new` replaces, and `= spec` is an entry of a new list.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from publishing.patches.changes import BadPatch
from publishing.wording import quote

ARROW = " -> "
SIGNS = {"+": "add", "-": "remove", "=": "list"}


def parse(text: str) -> list[str] | dict[str, Any] | None:
    """Return the change, None for an empty text. Raise BadPatch for a line of another form."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        old, arrow, new = line.partition(ARROW)
        if arrow:
            found.setdefault("replace", {})[old.strip()] = new.strip()
        elif line[0] in SIGNS:
            found.setdefault(SIGNS[line[0]], []).append(line[1:].strip())
        else:
            raise BadPatch(f"Begin the line {quote(line)} with +, - or =, or write OLD -> NEW.")
    if "list" not in found:
        return found or None
    if len(found) > 1:
        raise BadPatch("Lines with = are a new list, which leaves nothing to add, remove or replace.")
    return [spec for spec in found["list"] if spec]


def written(change: list[str] | Mapping[str, Any] | None) -> str:
    """Return the text of a change."""
    if change is None:
        return ""
    if isinstance(change, list):
        return "\n".join(f"= {spec}" for spec in change) or "="
    return "\n".join(_lines(change))


def _lines(change: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"- {spec}" for spec in change.get("remove", ()))
    yield from (f"{old}{ARROW}{new}" for old, new in change.get("replace", {}).items())
    yield from (f"+ {spec}" for spec in change.get("add", ()))
