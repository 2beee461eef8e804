"""The caps of an upload, the refusal, and the few words that every check shares."""

import time
from dataclasses import dataclass
from typing import Self

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

SHOWN_CHARACTERS = 100
FRAME_BYTES = 64 * KIB


class BadPackage(Exception):  # noqa: N818 (its name is a sentence)
    """The upload is not a package that every client reads alike; `reason` is one sentence for the uploader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """Every cap of docs/package-checks.md; an administrator may change them per channel."""

    compressed_bytes: int = 2 * GIB
    info_bytes: int = 256 * MIB
    pkg_bytes: int = 20 * GIB
    ratio_free_bytes: int = 256 * MIB
    ratio: int = 100
    window_bytes: int = 128 * MIB
    # Beyond one for each 64 KiB of the compressed part. Compressors write one frame, pzstd two for some MiB.
    zstd_frames: int = 64
    info_members: int = 20_000
    pkg_members: int = 500_000
    info_seconds: float = 30
    pkg_seconds: float = 600
    path_bytes: int = 1024
    segment_bytes: int = 255
    # Paths are held until the last member is seen, so that all of them together are what costs memory.
    all_paths_bytes: int = 64 * MIB
    metadata_json_bytes: int = 4 * KIB
    # Of each record that readers of an index hold at once. 2,000 specs of 40 characters take 90 KiB.
    index_json_bytes: int = 128 * KIB
    link_json_bytes: int = MIB
    run_exports_json_bytes: int = 128 * KIB
    about_json_bytes: int = 4 * MIB
    paths_json_bytes: int = 128 * MIB
    has_prefix_bytes: int = 4 * MIB
    json_depth: int = 64
    specs: int = 2_000
    spec_characters: int = 1024
    clock_ahead_seconds: int = 600


def over_limit(reason: str, *fields: str) -> BadPackage:
    """The refusal because of a limit: what was found, what is allowed, and the `fields` of Limits that raise it."""
    return BadPackage(f"{reason}; an administrator can raise {' or '.join(fields)} in HUB_PACKAGE_LIMITS")


class Budget:
    """The budget of one part of an archive: time, zstd frames, and bytes once decompressed.

    `name` is how a sentence calls the part: 'the info archive'; `fields` are those of its seconds and bytes in Limits.
    """

    def __init__(self, name: str, fields: tuple[str, str], compressed_bytes: int, limits: Limits) -> None:
        self.name = name
        self._fields = fields
        self._seconds: float = getattr(limits, fields[0])
        self._max_bytes: int = getattr(limits, fields[1])
        self._ends_at = time.monotonic() + self._seconds
        self._ratio = limits.ratio
        self._ratio_max_bytes = max(limits.ratio_free_bytes, limits.ratio * compressed_bytes)
        self._spent_bytes = 0
        self._max_frames = limits.zstd_frames + compressed_bytes // FRAME_BYTES
        self._frames = 0

    @classmethod
    def for_info(cls, name: str, compressed_bytes: int, limits: Limits) -> Self:
        return cls(name, ("info_seconds", "info_bytes"), compressed_bytes, limits)

    @classmethod
    def for_pkg(cls, name: str, compressed_bytes: int, limits: Limits) -> Self:
        return cls(name, ("pkg_seconds", "pkg_bytes"), compressed_bytes, limits)

    def check_time(self) -> None:
        if time.monotonic() > self._ends_at:
            raise over_limit(
                f"reading {self.name} took longer than the {self._seconds:g} seconds allowed", self._fields[0]
            )

    def spend_frame(self) -> None:
        """Counts a zstd frame, which costs time even where it holds nothing."""
        self._frames += 1
        if self._frames > self._max_frames:
            raise over_limit(
                f"{self.name} has more than {self._max_frames} zstd frames, which is not allowed for its size; "
                "compress it as one",
                "zstd_frames",
            )

    def spend(self, size_bytes: int) -> None:
        """Counts bytes that were decompressed."""
        self._spent_bytes += size_bytes
        if self._spent_bytes > self._max_bytes:
            raise over_limit(f"{self.name} unpacks to more than the {size(self._max_bytes)} allowed", self._fields[1])
        if self._spent_bytes > self._ratio_max_bytes:
            raise over_limit(
                f"{self.name} unpacks to more than {self._ratio} times its size, "
                f"which is not allowed above {size(self._ratio_max_bytes)}",
                *("ratio", "ratio_free_bytes"),
            )


def shown(value: object) -> str:
    """`value` from an untrusted archive as a sentence may quote it: escaped, and short."""
    text = ascii(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def size(size_bytes: int) -> str:
    """A size for people: '256 MiB'."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.4g} {name}"
    return f"{size_bytes} bytes"
