"""Ids of rows that forms and queries of pages state."""

from collections.abc import Callable
from typing import TypeVar

from django.http import Http404

from hub.errors import HubError

# Longer numbers overflow the database.
DIGITS_MAX = 18

Row = TypeVar("Row")


def stated_id(text: str) -> int:
    """Return the id in `text`, or 0, which no row has."""
    is_id = text.isascii() and text.isdecimal() and len(text) < DIGITS_MAX
    return int(text) if is_id else 0


def found_or_404(find: Callable[[int], Row], text: str) -> Row:
    """Return the result of `find` for the id in `text`. Raise Http404 if it raises HubError."""
    try:
        return find(stated_id(text))
    except HubError:
        raise Http404 from None
