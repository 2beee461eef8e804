"""All routes of the hub from the URL resolver, including those of allauth and the admin."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from django.urls import get_resolver

ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
# Values of arguments; {} stands for the channel's name.
VALUES = {
    "channel": "{}",
    "subdir": "noarch",
    "file_name": "pack-1.0-0.conda",
    "path": "noarch/repodata.json",
    "package": "pack",
    "version": "1.0",
    "username": "owner",
    "webhook_id": "1",
    "notice_id": "1",
    "promotion_id": "1",
    "import_id": "1",
    "source": "staging",
    "patch_id": "1",
    "rule_id": "1",
    "delivery_id": "1",
    "base_name": "noarch/pack-1.0-0.conda",
    "label": "main",
    "to_label": "dev",
}


@cache
def every_route() -> dict[str, str]:
    """Return the first pattern of each route by its name with namespace; a route without a name by its pattern."""
    found: dict[str, str] = {}
    for name, pattern, _ in _walk(get_resolver().url_patterns, "", ""):
        found.setdefault(name or f"/{pattern}", pattern)
    return found


@cache
def every_view() -> dict[str, Callable[..., Any]]:
    """Name → view, for routes with a name."""
    return {name: view for name, _, view in _walk(get_resolver().url_patterns, "", "") if name}


def path_values(pattern: str) -> list[str]:
    """Return the values of a pattern's arguments, as far as VALUES has them."""
    return [VALUES[name] for name in ARGUMENT.findall(pattern) if name in VALUES]


def _walk(patterns: list[Any], prefix: str, space: str) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    for entry in patterns:
        pattern = f"{prefix}{entry.pattern}"
        if hasattr(entry, "url_patterns"):
            yield from _walk(entry.url_patterns, pattern, f"{space}{entry.namespace}:" if entry.namespace else space)
        else:
            yield f"{space}{entry.name}" if entry.name else "", pattern, entry.callback
