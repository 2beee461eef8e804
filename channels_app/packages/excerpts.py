"""PURE: as much of a package's own words as a page shows; the rest stands in the raw documents that it links to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Excerpt(Generic[Item]):
    """The first of many items, and how many there are."""

    shown: list[Item]
    total: int

    @property
    def more(self) -> int:
        return self.total - len(self.shown)


def cut(text: str, most: int) -> str:
    """`text`, with `…` at its end where it has more than `most` characters."""
    return text if len(text) <= most else f"{text[:most]}…"


def excerpt(items: Sequence[Item], *, most: int, characters: int, size: Callable[[Item], int]) -> Excerpt[Item]:
    """At most `most` items, and no more of them than `characters` have room for, by the `size` of each."""
    shown: list[Item] = []
    for item in items[:most]:
        characters -= size(item)
        if characters < 0:
            break
        shown.append(item)
    return Excerpt(shown, len(items))
