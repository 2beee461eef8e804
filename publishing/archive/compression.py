"""Decompression of zstd (RFC 8878) and bz2 into bounded chunks of a tar.

A few compressed bytes can become a gigabyte. So zstd gets one block at a time, which holds at most 128 KiB. This also
shows the end of a frame, which zstandard's stream reader hides. bz2 gets a maximum length of output.

zstd frames may follow each other, with skippable frames between them: every client reads them as one stream. A bz2 file
must hold a single stream: rattler stops after the first, conda and libarchive continue.
"""

import bz2
import re
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from hub.sizes import KIB, MIB
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Budget
from publishing.wording import quote

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SINGLE_SEGMENT_FLAG = 0x20
ZSTD_CHECKSUM_BYTES = 4
ZSTD_DICTIONARY_ID_BYTES = (0, 1, 2, 4)
ZSTD_CONTENT_SIZE_BYTES = (0, 2, 4, 8)
ZSTD_BLOCK_HEADER_BYTES = 3
ZSTD_BLOCK_MAX_BYTES = 128 * KIB
ZSTD_WINDOW_MIN_BYTES = KIB
ZSTD_RLE_BLOCK = 1
ZSTD_SKIPPABLE_MAGIC = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
ZSTD_SKIPPABLE_SIZE_BYTES = 4
SKIP_BYTES = 64 * KIB

BZ2_READ_BYTES = 64 * KIB
BZ2_CHUNK_BYTES = MIB


class Source(Protocol):
    """A source of compressed bytes: a file, or one entry of a ZIP."""

    def read(self, size_bytes: int, /) -> bytes: ...


class Part:
    """One decompressed tar, read in order and within its budget."""

    def __init__(self, chunks: Iterator[bytes], budget: Budget) -> None:
        self.budget = budget
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def read(self, size_bytes: int) -> bytes:
        """Return up to `size_bytes`, and at least one byte before the end of the tar."""
        if not self._chunk:
            self._next_chunk()
        data = self._chunk[:size_bytes]
        self._chunk = self._chunk[size_bytes:]
        return bytes(data)

    def take(self, size_bytes: int) -> bytes:
        """Return exactly `size_bytes`."""
        data = self.read(size_bytes)
        while len(data) < size_bytes:
            more = self.read(size_bytes - len(data))
            if not more:
                raise BadPackage(f"{self.budget.name} ends too early: without the two zero blocks that end a tar")
            data += more
        return data

    def skip(self, size_bytes: int) -> None:
        while size_bytes > len(self._chunk):
            size_bytes -= len(self._chunk)
            self._next_chunk()
            if not self._chunk:
                raise BadPackage(f"{self.budget.name} ends too early: within the content of a member")
        self._chunk = self._chunk[size_bytes:]

    def at_once(self, size_bytes: int) -> memoryview | None:
        """Return exactly `size_bytes` without a copy, or None if the current chunk is shorter."""
        if size_bytes > len(self._chunk):
            return None
        piece = self._chunk[:size_bytes]
        self._chunk = self._chunk[size_bytes:]
        return piece

    def feed(self, size_bytes: int, take: Callable[[memoryview], None]) -> None:
        """Pass `size_bytes` to `take`, chunk by chunk and without a copy."""
        while size_bytes:
            if not self._chunk:
                self._next_chunk()
            piece = self._chunk[:size_bytes]
            if not piece:
                raise BadPackage(f"{self.budget.name} ends too early: within the content of a member")
            take(piece)
            size_bytes -= len(piece)
            self._chunk = self._chunk[len(piece) :]

    def _next_chunk(self) -> None:
        self._chunk = memoryview(next(filter(None, self._chunks), b""))
        self.budget.spend(len(self._chunk))


def zstd_chunks(source: Source, budget: Budget, window_max_bytes: int, *, may_skip: bool = True) -> Iterator[bytes]:
    """Yield the content of the zstd frames in `source`, at most 128 KiB at a time; some chunks are empty.

    `may_skip` allows skippable frames, which may hold arbitrary bytes.
    """
    magic = source.read(len(ZSTD_MAGIC))
    if magic != ZSTD_MAGIC and not ZSTD_SKIPPABLE_MAGIC.match(magic):
        raise BadPackage(f"{budget.name} is not compressed by zstd: it begins with {quote(magic)}")
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(window_max_bytes, ZSTD_WINDOW_MIN_BYTES))
    while magic:
        budget.check_time()
        budget.spend_frame()
        if magic == ZSTD_MAGIC:
            try:
                yield from _zstd_frame(source, budget, decompressor, window_max_bytes)
            except zstandard.ZstdError as error:
                raise BadPackage(f"{budget.name} has a damaged zstd frame: {error}; upload it again") from error
        elif ZSTD_SKIPPABLE_MAGIC.match(magic):
            if not may_skip:
                raise BadPackage(
                    f"{budget.name} has a skippable zstd frame and a data descriptor, so that some readers of ZIP may "
                    "see other entries in it: write the file with true sizes in its headers"
                )
            _skip_zstd_frame(source, budget)
        else:
            raise BadPackage(
                f"{budget.name} goes on after its zstd frame with {quote(magic)}, which is no frame; "
                "cut that off, or build the package again"
            )
        magic = source.read(len(ZSTD_MAGIC))


def _skip_zstd_frame(source: Source, budget: Budget) -> None:
    """Read past a skippable frame."""
    left_bytes = int.from_bytes(_take(source, ZSTD_SKIPPABLE_SIZE_BYTES, budget), "little")
    while left_bytes:
        left_bytes -= len(_take(source, min(left_bytes, SKIP_BYTES), budget))


def _zstd_frame(
    source: Source, budget: Budget, decompressor_of_frames: zstandard.ZstdDecompressor, window_max_bytes: int
) -> Iterator[bytes]:
    header = ZSTD_MAGIC + _zstd_frame_header(source, budget)
    frame = zstandard.get_frame_parameters(header)
    if frame.window_size > window_max_bytes:
        raise over_limit(
            f"{budget.name} needs a zstd window of {frame.window_size} bytes; {window_max_bytes} are allowed",
            "window_bytes",
        )
    if frame.dict_id:
        raise BadPackage(f"{budget.name} needs a zstd dictionary, which no client has")
    decompressor = decompressor_of_frames.decompressobj()
    yield decompressor.decompress(header)
    is_last = False
    while not is_last:
        budget.check_time()
        is_last, block = _zstd_block(source, budget)
        yield decompressor.decompress(block)
    if frame.has_checksum:
        yield decompressor.decompress(_take(source, ZSTD_CHECKSUM_BYTES, budget))
    if not decompressor.eof:
        raise BadPackage(f"{budget.name} has a zstd frame that does not end where it says")


def _zstd_frame_header(source: Source, budget: Budget) -> bytes:
    """Return the frame header after the magic number: the descriptor and the fields that it declares."""
    descriptor = _take(source, 1, budget)
    is_single_segment = bool(descriptor[0] & ZSTD_SINGLE_SEGMENT_FLAG)
    window_bytes = 0 if is_single_segment else 1
    content_size_bytes = ZSTD_CONTENT_SIZE_BYTES[descriptor[0] >> 6] or (1 if is_single_segment else 0)
    dictionary_id_bytes = ZSTD_DICTIONARY_ID_BYTES[descriptor[0] & 0x03]
    return descriptor + _take(source, window_bytes + dictionary_id_bytes + content_size_bytes, budget)


def _zstd_block(source: Source, budget: Budget) -> tuple[bool, bytes]:
    """Return whether the block is the last of its frame, and the block with its header."""
    header = _take(source, ZSTD_BLOCK_HEADER_BYTES, budget)
    fields = int.from_bytes(header, "little")
    is_last, kind, content_bytes = bool(fields & 1), fields >> 1 & 0x03, fields >> 3
    if content_bytes > ZSTD_BLOCK_MAX_BYTES:
        raise BadPackage(
            f"{budget.name} has a zstd block of {content_bytes} bytes; at most {ZSTD_BLOCK_MAX_BYTES} are possible"
        )
    return is_last, header + _take(source, 1 if kind == ZSTD_RLE_BLOCK else content_bytes, budget)


def _take(source: Source, size_bytes: int, budget: Budget) -> bytes:
    data = source.read(size_bytes)
    if len(data) != size_bytes:
        raise BadPackage(f"{budget.name} ends within a zstd frame; upload it again")
    return data


def bz2_chunks(source: Source, budget: Budget) -> Iterator[bytes]:
    """Yield the content of the single bz2 stream in `source`, at most 1 MiB at a time; some chunks are empty."""
    decompressor = bz2.BZ2Decompressor()
    while not decompressor.eof:
        budget.check_time()
        data = source.read(BZ2_READ_BYTES) if decompressor.needs_input else b""
        if decompressor.needs_input and not data:
            raise BadPackage(f"{budget.name} ends within its bz2 stream; upload it again")
        try:
            yield decompressor.decompress(data, BZ2_CHUNK_BYTES)
        except OSError as error:
            raise BadPackage(f"{budget.name} is not a bz2 stream: {error}") from error
    if decompressor.unused_data or source.read(1):
        raise BadPackage(f"{budget.name} goes on after its bz2 stream, where rattler stops; compress it as one stream")
