"""The limits of an upload, and the budget of one part of an archive."""

import time
from dataclasses import dataclass
from typing import Self

from hub.sizes import GIB, KIB, MIB, human_size
from publishing.archive.errors import over_limit

FRAME_BYTES = 64 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of docs/package-checks.md with their defaults; HUB_PACKAGE_LIMITS changes them."""

    compressed_bytes: int = 2 * GIB
    info_bytes: int = 256 * MIB
    pkg_bytes: int = 20 * GIB
    ratio_free_bytes: int = 256 * MIB
    ratio: int = 100
    window_bytes: int = 128 * MIB
    # In addition to one frame per 64 KiB of the compressed part. Compressors write one frame, pzstd two per some MiB.
    zstd_frames: int = 64
    info_members: int = 20_000
    pkg_members: int = 500_000
    info_seconds: float = 30
    pkg_seconds: float = 600
    path_bytes: int = 1024
    segment_bytes: int = 255
    # All paths stay in memory until the last member was read, so their total length is limited, too.
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


class Budget:
    """The budget of one part of an archive: time, zstd frames, and decompressed bytes.

    `name` is the part in messages, such as 'the info archive'. `fields` name its limits of seconds and of bytes.
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
        """Count a zstd frame: even an empty one costs time. Raise BadPackage above the limit."""
        self._frames += 1
        if self._frames > self._max_frames:
            raise over_limit(
                f"{self.name} has more than {self._max_frames} zstd frames, which is not allowed for its size; "
                "compress it as one",
                "zstd_frames",
            )

    def spend(self, size_bytes: int) -> None:
        """Count decompressed bytes. Raise BadPackage above a limit."""
        self._spent_bytes += size_bytes
        if self._spent_bytes > self._max_bytes:
            raise over_limit(
                f"{self.name} unpacks to more than the {human_size(self._max_bytes)} allowed", self._fields[1]
            )
        if self._spent_bytes > self._ratio_max_bytes:
            raise over_limit(
                f"{self.name} unpacks to more than {self._ratio} times its size, "
                f"which is not allowed above {human_size(self._ratio_max_bytes)}",
                *("ratio", "ratio_free_bytes"),
            )
