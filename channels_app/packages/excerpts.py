"""Excerpts of a package's metadata, limited to the size of a page; the raw documents are complete."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Excerpt(Generic[Item]):
    """The first of many items, and the total number."""

    shown: list[Item]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.shown)


def cut(text: str, most: int) -> str:
    """Return `text`, ending in `…` if it had more than `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def excerpt(items: Sequence[Item], *, most: int, characters: int, size: Callable[[Item], int]) -> Excerpt[Item]:
    """Return at most `most` items with at most `characters` together, by the `size` of each."""
    shown: list[Item] = []
    for item in items[:most]:
        characters -= size(item)
        if characters < 0:
            break
        shown.append(item)
    return Excerpt(shown, len(items))
