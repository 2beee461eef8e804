"""Consistency check: the histories of files and the reads of the index → the wrong files.

Times are seconds of one clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Life:
    """The times when a file's upload began and was acknowledged, and those of its deletion. None: not (yet)."""

    upload_began: float
    uploaded: float | None = None
    deletion_began: float | None = None
    deleted: float | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """One response with an index, and the names that it lists."""

    began: float
    ended: float
    names: frozenset[str]


@dataclass(slots=True)
class Verdict:
    """The wrong files by kind, and the seconds from each 2xx to the first read that lists the file."""

    lost: set[str] = field(default_factory=set)  # acknowledged, but missing at the end
    stale: set[str] = field(default_factory=set)  # acknowledged, but still not listed after the allowed time
    phantom: set[str] = field(default_factory=set)  # listed before its upload began
    vanished: set[str] = field(default_factory=set)  # listed, and missing in a later read
    resurrected: set[str] = field(default_factory=set)  # deleted, but still listed after the allowed time
    visible_s: list[float] = field(default_factory=list)

    def wrong(self) -> dict[str, list[str]]:
        kinds = ("lost", "stale", "phantom", "vanished", "resurrected")
        return {kind: sorted(getattr(self, kind)) for kind in kinds if getattr(self, kind)}


def judge(lives: Mapping[str, Life], reads: Iterable[Read], final: Read, *, within_s: float) -> Verdict:
    """Judge all reads. `final` is the last one, after all changes; `within_s` is the allowed delay of the index."""
    reads = sorted([*reads, final], key=lambda read: read.began)
    verdict = Verdict(phantom=set().union(*(read.names for read in reads)) - lives.keys())
    for name, life in lives.items():
        _follow(name, life, reads, verdict, within_s)
        is_kept = life.uploaded is not None and life.deletion_began is None
        if is_kept and name not in final.names:
            verdict.lost.add(name)
        if life.deleted is not None and name in final.names:
            verdict.resurrected.add(name)
    return verdict


def _follow(name: str, life: Life, reads: Iterable[Read], verdict: Verdict, within_s: float) -> None:
    """Check each read, in order, for one name."""
    first_seen = None
    for read in reads:
        is_before_deletion = life.deletion_began is None or read.ended < life.deletion_began
        if name in read.names:
            first_seen = read.ended if first_seen is None else min(first_seen, read.ended)
            if read.ended < life.upload_began:
                verdict.phantom.add(name)
            if life.deleted is not None and read.began > life.deleted + within_s:
                verdict.resurrected.add(name)
        elif is_before_deletion and first_seen is not None and read.began > first_seen:
            verdict.vanished.add(name)
        elif is_before_deletion and life.uploaded is not None and read.began > life.uploaded + within_s:
            verdict.stale.add(name)
    if life.uploaded is not None and first_seen is not None:
        verdict.visible_s.append(max(0.0, first_seen - life.uploaded))
