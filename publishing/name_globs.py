"""Globs of package names in rules. Without I/O.

Channels can have thousands of them, and each is compared with each name. Names without wildcards cost one look-up.
"""

import re
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache

WILDCARDS = frozenset("*?[")


def matches(name: str, globs: Sequence[str]) -> bool:
    """Return whether one of the globs, which are case-sensitive, matches the whole name."""
    names, pattern = _compiled(tuple(globs))
    return name in names or (pattern is not None and pattern.match(name) is not None)


def with_wildcards(globs: Sequence[str]) -> list[str]:
    """Return the globs that can match more than one name."""
    return [glob for glob in globs if WILDCARDS & set(glob)]


@lru_cache(maxsize=1024)
def _compiled(globs: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Return the globs without wildcards, and a pattern for the others."""
    wild = with_wildcards(globs)
    return frozenset(globs) - set(wild), re.compile("|".join(map(translate, wild))) if wild else None
