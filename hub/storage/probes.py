"""Probes of a store: their target, outcome and result."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hub.storage import Store


class ProbeOutcome(StrEnum):
    WORKS = "works"
    LIMITED = "limited"  # the hub works, except for the limit in the sentence
    BROKEN = "broken"  # the hub can't work


@dataclass(frozen=True, slots=True)
class ProbeResult:
    probe: str
    outcome: ProbeOutcome
    sentence: str


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """The place where probes write, in the store and in a local folder."""

    store: Store
    folder: str
    scratch: Path

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def read(self, name: str, *, first: int = 0, last: int | None = None) -> bytes:
        return b"".join(self.store.open(self.key(name), first=first, last=last))


class LimitError(Exception):
    """A limitation that the hub can live with. The message describes it and its effect."""


Probe = Callable[[ProbeTarget], str]
