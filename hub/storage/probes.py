"""Probes of a store: their target, their outcome, and the limit that a probe can find."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from hub.storage import Store


class ProbeOutcome(StrEnum):
    WORKS = "works"
    LIMITED = "limited"  # the hub works, but for what the sentence says
    BROKEN = "broken"  # the hub can't work


@dataclass(frozen=True, slots=True)
class ProbeResult:
    probe: str
    outcome: ProbeOutcome
    sentence: str


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where probes put what they need."""

    store: Store
    folder: str
    scratch: Path

    def key(self, name: str) -> str:
        return f"{self.folder}/{name}"

    def read(self, name: str, *, first: int = 0, last: int | None = None) -> bytes:
        return b"".join(self.store.open(self.key(name), first=first, last=last))


class LimitError(Exception):
    """What a probe found that the hub can live with, and what follows from it."""


Probe = Callable[[ProbeTarget], str]
