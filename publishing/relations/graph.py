"""The graph of channel relations (CEP 42), as a client discovers it from one channel. Without I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

# The default `channel_relations_max_depth` of clients.
DEPTH_MAX = 10


@dataclass(frozen=True, slots=True)
class Related:
    """The ids of the channels that a channel names: `base` before it, `overrides` after it."""

    base: int | None = None
    overrides: int | None = None

    def __iter__(self) -> Iterator[int]:
        return (channel for channel in (self.base, self.overrides) if channel is not None)


Graph = Mapping[int, Related]


class CyclicError(Exception):
    """The relations order a channel before itself."""


class TooDeepError(Exception):
    """A client would have to follow more than DEPTH_MAX relations."""


def order(graph: Graph, start: int) -> list[int]:
    """Return the channels that a client loads for `start`, highest priority first.

    Raise CyclicError or TooDeepError if it would stop with an error.
    """
    found = _discovered(graph, start)
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(found, ()))
    for channel in found:
        related = graph.get(channel, Related())
        if related.base is not None:
            sorter.add(channel, related.base)
        if related.overrides is not None:
            sorter.add(related.overrides, channel)
    try:
        return list(sorter.static_order())
    except CycleError:
        raise CyclicError from None


def _discovered(graph: Graph, start: int) -> list[int]:
    found, newest = [start], [start]
    for _ in range(DEPTH_MAX):
        newest = [related for channel in newest for related in graph.get(channel, Related()) if related not in found]
        newest = list(dict.fromkeys(newest))
        found += newest
    if any(related not in found for channel in newest for related in graph.get(channel, Related())):
        raise TooDeepError
    return found
