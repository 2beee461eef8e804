"""The ZIP, the compression and the tar of an archive. Forms that readers could read differently are refused."""

import bz2
import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rattler.package_streaming
import zstandard

from publishing.archive.reader import Limits, read
from tests.archives import (
    GNU_MAGIC,
    gnu_long_name,
    make_conda,
    make_tar_bz2,
    pax_header,
    refusal,
    tar_bytes,
    tar_member,
)
from tests.differential.zip_variants import described
from tests.zips import ZipEntry, zip64_extra

MIB = 1024 * 1024
Entries = list[ZipEntry]


def first(**changes: Any) -> Callable[[Entries], Entries]:
    """Return a change of the first ZIP entry, metadata.json."""
    return lambda entries: [replace(entries[0], **changes), *entries[1:]]


def last_with_locator(entries: Entries) -> Entries:
    """End the directory's last extra field with a ZIP64 locator, which the standard library would follow."""
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, 7, 1)
    return [*entries[:2], replace(entries[2], extra=struct.pack("<2H", 0x5455, len(locator)) + locator)]


def zeros(size_bytes: int) -> bytes:
    """Return a tar with one file of zeros, without the end of the tar."""
    return tar_member("share/zeros", b"", size_field=b"%011o\x00" % size_bytes) + bytes(size_bytes)


def two_zstd_frames(tar: bytes) -> bytes:
    return zstandard.compress(tar[:700]) + zstandard.compress(tar[700:])


SKIPPABLE = b"\x5f\x2a\x4d\x18\x04\0\0\0skip"


def two_bz2_streams(tar: bytes) -> bytes:
    return bz2.compress(tar[:700]) + bz2.compress(tar[700:])


def zstd_with_window(window_log: int) -> Callable[[bytes], bytes]:
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log)

    def compress(tar: bytes) -> bytes:
        stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        return stream.compress(tar) + stream.flush()

    return compress


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"entries": lambda entries: entries[::-1]}, id="any order"),
        pytest.param({"is_zip64": True}, id="zip64 end"),
        pytest.param({"entries": lambda es: [replace(e, is_zip64=True) for e in es], "is_zip64": True}, id="zip64"),
        pytest.param({"entries": first(extra=zip64_extra(0, 0))}, id="unneeded zip64 extra, as rattler-build's"),
        pytest.param({"entries": first(local_extra=b"UT\x05\x00\x01" + bytes(4))}, id="Info-ZIP's times"),
        pytest.param({"entries": first(flags=0x0800)}, id="UTF-8 flag"),
        pytest.param({"entries": first(flags=0x0016)}, id="flags of a compressor"),
        pytest.param({"entries": first(extra=struct.pack("<2H", 0xCAFE, 0))}, id="Java's extra field"),
        pytest.param({"compress": two_zstd_frames}, id="two zstd frames"),
        pytest.param({"compress": lambda tar: SKIPPABLE + zstandard.compress(tar) + SKIPPABLE}, id="skippable frames"),
        pytest.param({"compress": zstd_with_window(27)}, id="zstd window of 128 MiB"),
        pytest.param({"compress": zstandard.ZstdCompressor(write_checksum=True).compress}, id="zstd checksum"),
    ],
)
def test_conda_files_that_are_read(tmp_path: Path, shape: dict[str, Any]) -> None:
    path = make_conda(tmp_path, **shape)

    assert read(path, path.name).name == "demo"
    assert zipfile.ZipFile(path).testzip() is None
    rattler.package_streaming.extract(path, tmp_path / "extracted")
    assert (tmp_path / "extracted" / "share" / "demo.txt").read_bytes() == b"hello\n"


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"comment": b"hello"}, "does not end as a ZIP without a comment does"),
        ({"suffix": b"\x00"}, "does not end as a ZIP without a comment does"),
        ({"prefix": b"#!/bin/sh\n"}, "'metadata.json' at byte 10; expected it at byte 0"),
        ({"entries": lambda es: [es[0], replace(es[1], gap_before=b"gap"), es[2]]}, "expected it at byte"),
        ({"before_directory": b"gap"}, "but its directory begins at byte"),
        ({"after_directory": b"gap"}, "bytes between its directory and its end"),
        ({"after_directory": b"gap", "is_zip64": True}, "bytes between its directory and its end"),
        ({"entries": lambda es: [*es, ZipEntry("evil", b"")]}, "the ZIP has 4 entries; a .conda file has exactly 3"),
        ({"entries": lambda es: es[:2]}, "the ZIP has 2 entries"),
        ({"entries": lambda es: [es[0], es[0], es[1]]}, "two entries of the same name"),
        ({"entries": lambda es: [*es, ZipEntry("evil", b"")], "count": 3}, "directory holds more than its entries"),
        ({"entries": lambda es: es[:2], "count": 3}, "directory ends too early"),
        ({"entries": first(name="evil")}, "'evil', 'info-demo-1.0-0.tar.zst', 'pkg-demo-1.0-0.tar.zst'; expected"),
        ({"file_name": "demo-1.0-1.conda"}, "the file was renamed"),
        ({"entries": first(local_name="metadata.jsom")}, "local header of 'metadata.json' differs"),
        ({"entries": first(local_name="evil")}, "local header of 'metadata.json' differs"),
        ({"entries": first(local_crc=0)}, "local header of 'metadata.json' differs"),
        ({"entries": first(crc=0)}, "metadata.json does not have the checksum that the ZIP states"),
        ({"entries": first(method=8)}, "is compressed by the ZIP"),
        ({"entries": first(flags=1)}, "has the ZIP flags 0x0001"),
        ({"entries": first(flags=8)}, "announces a data descriptor after 'metadata.json'; found none with a signature"),
        (
            {"entries": described(crc=1)},
            "announces a data descriptor after 'metadata.json'; found none with a signature",
        ),
        ({"entries": described(size_bytes=5)}, "announces a data descriptor after 'metadata.json'"),
        ({"entries": described(signature=b"gapPK\x07\x08")}, "announces a data descriptor after 'metadata.json'"),
        ({"entries": first(flags=0x2000)}, "has the ZIP flags 0x2000"),
        ({"entries": first(comment=b"x")}, "entry with a comment"),
        ({"entries": first(size_bytes=5)}, "expected it at byte"),
        ({"entries": first(extra=struct.pack("<2H", 0x7075, 0))}, "extra field of the kind 0x7075: a second name"),
        ({"entries": first(local_extra=b"\x01")}, "malformed extra field"),
        ({"entries": first(size_bytes=0xFFFFFFFF)}, "lacks its ZIP64 sizes"),
        ({"entries": last_with_locator}, "a ZIP64 locator that its end does not announce"),
        ({"metadata": b" " * 4097}, "metadata.json has 4,097 bytes; at most 4 KiB"),
        ({"metadata": b""}, "metadata.json is empty"),
        ({"metadata": b"\xef\xbb\xbf{}"}, "metadata.json begins with a byte order mark"),
        ({"info": {"paths.json": None}}, "upload the .tar.bz2 file that it was made from"),
        ({"info": {"paths.json": b"\xef\xbb\xbf{}"}}, "info/paths.json begins with a byte order mark"),
        ({"metadata": b"[]"}, "metadata.json holds a list; expected an object"),
        ({"metadata": b'{"conda_pkg_format_version": 1}'}, "conda_pkg_format_version 1; expected 2"),
        ({"metadata": b'{"conda_pkg_format_version": 2.0}'}, "conda_pkg_format_version 2.0; expected 2"),
        ({"metadata": b"{}"}, "conda_pkg_format_version None; expected 2"),
        (
            {"compress": lambda tar: zstandard.compress(tar) + b"evil"},
            "goes on after its zstd frame with 'evil', which is no frame",
        ),
        ({"compress": lambda tar: zstandard.compress(tar) + SKIPPABLE[:-1]}, "ends within a zstd frame"),
        ({"compress": lambda tar: zstandard.compress(tar) + b"\x28\xb5"}, "goes on after its zstd frame"),
        ({"compress": lambda tar: zstandard.compress(tar)[:-1]}, "the pkg archive ends within a zstd frame"),
        ({"compress": bz2.compress}, "the pkg archive is not compressed by zstd: it begins with 'BZh9'"),
        ({"compress": lambda tar: b""}, "the pkg archive is not compressed by zstd: it begins with ''"),
        ({"compress": zstd_with_window(28)}, "needs a zstd window of 268435456 bytes; 134217728 are allowed"),
        ({"pkg_tar": b""}, "the pkg archive ends too early"),
    ],
)
def test_conda_files_that_are_refused(tmp_path: Path, shape: dict[str, Any], reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path, **shape))


@pytest.mark.parametrize(
    ("is_zip64", "from_end", "replacement", "reason"),
    [
        pytest.param(True, -98, b"PK\x06\x05", "ZIP64 record is malformed", id="signature of the record"),
        pytest.param(True, -94, bytes(8), "ZIP64 record is malformed", id="length of the record"),
        pytest.param(True, -82, b"\x01", "end records state different things", id="disk of the record"),
        pytest.param(True, -42, b"PK\x06\x05", "lacks the ZIP64 locator", id="signature of the locator"),
        pytest.param(True, -26, b"\x02", "lacks the ZIP64 locator", id="disks of the locator"),
        pytest.param(True, -12, b"\x07\x00", "end records state different things", id="count of the end"),
        pytest.param(False, -12, b"\xff\xff", "lacks the ZIP64 locator", id="no ZIP64 after all"),
        pytest.param(False, -18, b"\x01", "one of several parts", id="disk of the end"),
    ],
)
def test_read_zip_with_contradictory_end_is_refused(
    tmp_path: Path, is_zip64: bool, from_end: int, replacement: bytes, reason: str
) -> None:
    path = make_conda(tmp_path, is_zip64=is_zip64)
    content = bytearray(path.read_bytes())
    begin = len(content) + from_end
    content[begin : begin + len(replacement)] = replacement
    path.write_bytes(content)
    assert reason in refusal(path)


def test_zip_that_the_standard_library_streams_taken(tmp_path: Path) -> None:
    """The output file can't seek, so the library writes the sizes after the content."""
    path = make_conda(tmp_path)
    with zipfile.ZipFile(path) as stored:
        contents = {name: stored.read(name) for name in stored.namelist()}
    streamed = Streamed()
    with zipfile.ZipFile(streamed, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    path.write_bytes(bytes(streamed.content))

    assert len(read(path, path.name).warnings) == 1


class Streamed(io.RawIOBase):
    """A file that can only be written from its beginning to its end."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.content += data
        return len(data)


def test_a_zip_of_the_standard_library_that_compresses(tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    with zipfile.ZipFile(path) as stored:
        contents = {name: stored.read(name) for name in stored.namelist()}
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as deflated:
        for name, content in contents.items():
            deflated.writestr(name, content)

    assert "is compressed by the ZIP" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x05\x06" + bytes(18), b"x" * 1000, bytes(10_000)])
@pytest.mark.parametrize("file_name", ["demo-1.0-0.conda", "demo-1.0-0.tar.bz2"])
def test_read_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes, file_name: str) -> None:
    path = tmp_path / file_name
    path.write_bytes(content)

    assert refusal(path)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"compress": lambda tar: bz2.compress(tar) + b"evil"}, "goes on after its bz2 stream, where rattler stops"),
        ({"compress": two_bz2_streams}, "goes on after its bz2 stream, where rattler stops"),
        ({"compress": lambda tar: bz2.compress(tar)[:-1]}, "ends within its bz2 stream"),
        ({"compress": lambda tar: b"BZh9" + tar}, "is not a bz2 stream: Invalid data stream"),
        ({"compress": lambda tar: b"BZh9"}, "ends within its bz2 stream"),
        ({"tar": tar_bytes([])}, "the archive has no info/index.json"),
    ],
)
def test_tar_bz2_files_that_are_refused(tmp_path: Path, shape: dict[str, Any], reason: str) -> None:
    assert reason in refusal(make_tar_bz2(tmp_path, **shape))


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_bombs_are_refused_by_their_ratio(tmp_path: Path, make: Callable[..., Path]) -> None:
    path = make(tmp_path, members=[zeros(260 * MIB)])

    assert path.stat().st_size < 100_000
    assert "unpacks to more than 100 times its size, which is not allowed above 256 MiB" in refusal(path)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(info_bytes=1024), "the info archive unpacks to more than the 1 KiB allowed"),
        (Limits(pkg_bytes=1024), "the pkg archive unpacks to more than the 1 KiB allowed"),
        (Limits(ratio_free_bytes=1024, ratio=1), "the info archive unpacks to more than 1 times its size"),
        (Limits(info_seconds=0), "reading the info archive took longer than the 0 seconds allowed"),
        (Limits(pkg_seconds=0), "reading the pkg archive took longer than the 0 seconds allowed"),
    ],
)
def test_limits_of_the_two_archives(tmp_path: Path, limits: Limits, reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path), limits)


def test_time_limit_of_a_tar_bz2(tmp_path: Path) -> None:
    assert "took longer than the 0 seconds" in refusal(make_tar_bz2(tmp_path), Limits(pkg_seconds=0))


GOOD = tar_member("share/demo.txt", b"hello\n")


@pytest.mark.parametrize(
    ("tar", "reason"),
    [
        (GOOD, "without the two zero blocks that end a tar"),
        (GOOD + bytes(512), "without the two zero blocks that end a tar"),
        (GOOD + bytes(512) + GOOD, "does not end with two zero blocks"),
        (tar_bytes([GOOD]) + b"evil", "something other than zeros after its end"),
        (tar_bytes([GOOD]) + bytes(4096) + GOOD, "something other than zeros after its end"),
        (GOOD[:700], "ends too early"),
        (tar_member("a", b"x", size_field=b"00000077777\x00"), "ends too early: within the content of a member"),
        (tar_member("a", checksum_field=b"000000\x00 "), "its checksum is wrong"),
        (tar_member("a", size_field=b"0000000000x\x00"), "where a number should be"),
        (tar_member("a", size_field=b"\xff" * 12), "where a number should be"),
        (tar_member("a", size_field=b"\x80" + b"\xff" * 11), "ends too early"),
        (tar_member("dev", kind=b"3"), "the member 'dev' is a character device"),
        (tar_member("dev", kind=b"4"), "the member 'dev' is a block device"),
        (tar_member("fifo", kind=b"6"), "the member 'fifo' is a FIFO"),
        (tar_member("a", kind=b"S"), "the member 'a' is a sparse file"),
        (tar_member("a", kind=b"?"), "the member 'a' is of the unknown tar type b'?'"),
        (tar_member("a/", b"content", kind=b"5"), "is a directory with content, which readers differ on"),
        (tar_member("a", b"content", kind=b"2", target="b"), "is a symlink with content"),
        (tar_member("a", magic=GNU_MAGIC, prefix=b"evil"), "name prefix outside a POSIX header"),
        (pax_header({"path": "a"}), "without the two zero blocks that end a tar"),
        (tar_bytes([pax_header({"path": "a"})]), "ends after an extension header, without its member"),
        (pax_header({"path": "a"}) + pax_header({"path": "b"}) + GOOD, "say different things about one member"),
        (gnu_long_name("a") + pax_header({"path": "b"}) + GOOD, "say different things about one member"),
        (pax_header({"path": "a"}, kind=b"g") + GOOD, "a global pax header with a path, which readers differ on"),
        (pax_header({"GNU.sparse.major": "1"}) + GOOD, "the archive has a sparse file"),
        (pax_header({"size": "-1"}) + GOOD, "a pax header with the size '-1'"),
        (tar_member("x", b"5 path=a\n", kind=b"x") + GOOD, "a malformed pax header"),
        (tar_member("x", b"99999 path=a\n", kind=b"x") + GOOD, "a malformed pax header"),
        (tar_member("x", b"10 path=a\n10 path=b\n", kind=b"x") + GOOD, "a pax header with two values for path"),
        (tar_member("x", bytes(70_000), kind=b"x") + GOOD, "an extension header of 70000 bytes"),
        (gnu_long_name("n" * 70_000) + GOOD, "an extension header of 70001 bytes"),
    ],
)
def test_read_bad_tar_is_refused(tmp_path: Path, tar: bytes, reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path, pkg_tar=tar))
    assert reason in refusal(make_tar_bz2(tmp_path, tar=tar))
