"""Fields of tar headers, pax records and extra fields of ZIPs: as strict as the strictest client."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rattler.package_streaming

from publishing.archive.reader import read
from tests.archives import (
    GNU_MAGIC,
    gnu_long_name,
    hardlink,
    make_conda,
    make_tar_bz2,
    paths_entry,
    pax_header,
    refusal,
    tar_member,
)
from tests.differential.tar_variants import in_format
from tests.differential.zip_variants import described, each, extra
from tests.zips import zip64_extra

Maker = Callable[..., Path]
MAKERS = [make_conda, make_tar_bz2]
MODE, UID, GID, SIZE, MTIME, MAGIC, MAJOR, MINOR = 100, 108, 116, 124, 136, 257, 329, 337
A_FILE = tar_member("a", b"x")
SHORT, LONG = 8, 12


def a_file(offset: int, value: bytes) -> bytes:
    return tar_member("a", b"x", fields=[(offset, value)])


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("offset", [MODE, UID, GID, MTIME, MAJOR, MINOR])
@pytest.mark.parametrize(
    "value", [b"letters\0", b"0000+44\0", b"0o00644\0", b"-000644\0", b"0_0644\0\0", b"\t000644\0", b"644\0x\0\0\0"]
)
def test_read_number_of_a_header_that_is_none_refused(tmp_path: Path, make: Maker, offset: int, value: bytes) -> None:
    assert "where a number should be" in refusal(make(tmp_path, members=[a_file(offset, value)]))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([a_file(MODE, b"\x80\0\0\0\0\0\x01\xa4")], "where a number should be"),
        ([tar_member("a", b"x", checksum_field=b"\x80\0\0\0\0\0\x13\x88")], "where a number should be"),
        ([a_file(MODE, b"0010644\0")], "the member 'a' has the mode 10644; expected the permissions of a file"),
        ([a_file(MODE, b"0040755\0")], "the member 'a' has the mode 40755"),
        ([a_file(MODE, b"7700644\0")], "has the mode 7700644"),
        ([a_file(MODE, b"0104755\0")], "is a setuid, setgid or sticky file (4000)"),
        ([a_file(MTIME, b"\x80\0\0\0\x80" + bytes(7))], "a time that no system can hold"),
        ([a_file(MTIME, b"\xff\xff\xff\xff\x7f" + bytes(7))], "a time that no system can hold"),
        ([a_file(MAGIC, b"ustar\0\0\0")], "the unknown format"),
        ([a_file(MAGIC, b"ustar\x0001")], "the unknown format"),
        ([a_file(MAGIC, b"USTAR\x0000")], "the unknown format"),
        ([tar_member("a", b"x", kind=b"7", mode=0o755)], "an executable of the tar type '7'"),
        ([tar_member("a", b"x", mode=0o755), hardlink("b", "a")], "the hardlink 'b' has the mode 0644, and 'a' 0755"),
        ([A_FILE, tar_member("b", kind=b"1", target="a", mode=0o755)], "'b' has the mode 0755, and 'a' 0644"),
        ([A_FILE, tar_member("b", kind=b"1", target="a", mode=0o4644)], "is a setuid, setgid or sticky file"),
        ([gnu_long_name("d/x") + tar_member("d/", b"x", kind=b"\0")], "a directory by a slash at the end"),
        ([tar_member("d/", kind=b"\0")], "is a file by its type and a directory by a slash at the end of its name"),
        ([tar_member("a", size_field=b"\x80" + b"\x7f" * 11)], "ends too early"),
        ([in_format(pax_header({"comment": "x"}), GNU_MAGIC) + A_FILE], "in a format that has none"),
        ([in_format(pax_header({"comment": "x"}), bytes(8)) + A_FILE], "in a format that has none"),
        ([in_format(gnu_long_name("a"), bytes(8)) + A_FILE], "in a format that has none"),
        ([pax_header({"comment": "x"}) * 2 + A_FILE], "two extension headers"),
        ([pax_header({"path": "a"}) + pax_header({"comment": "x"}, b"g") + A_FILE], "two extension headers"),
        ([A_FILE, pax_header({"comment": "x"})], "ends after an extension header, without its member"),
        ([A_FILE, pax_header({"comment": "x"}, b"g")], "ends after an extension header, without its member"),
        ([a_file(MAJOR, b"x"), A_FILE], "where a number should be"),
    ],
)  # fmt: skip
def test_read_header_that_clients_read_otherwise_refused(
    tmp_path: Path, make: Maker, members: list[bytes], reason: str
) -> None:
    path = make(tmp_path, members=members, info={"paths.json": None} if make is make_tar_bz2 else {})

    assert reason in refusal(path)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ({"mtime": "nan"}, "the mtime 'nan'; expected a number"),
        ({"mtime": "1e400"}, "the mtime '1e400'; expected a number"),
        ({"mtime": "inf"}, "the mtime 'inf'; expected a number"),
        ({"atime": "x"}, "the atime 'x'; expected a number"),
        ({"uid": "x"}, "the uid 'x'; expected a number"),
        ({"gid": "-1"}, "the gid '-1'; expected a number"),
        ({"uid": "1.5"}, "the uid '1.5'; expected a number"),
        ({"size": " 1"}, "the size ' 1'; expected a number"),
        ({"size": "1_0"}, "the size '1_0'; expected a number"),
        ({"size": "\u0661"}, "expected a number"),
        ({"hdrcharset": b"\xff"}, "expected a charset of POSIX"),
        ({"hdrcharset": "UTF-16"}, "the hdrcharset 'UTF-16'; expected a charset of POSIX"),
        ({"comment": ""}, "without a key or a value"),
        ({"": "x"}, "without a key or a value"),
        ({"linkpath": ""}, "without a key or a value"),
    ],
)
def test_read_pax_record_that_a_client_misreads_refused(
    tmp_path: Path, make: Maker, records: dict[str, str | bytes], reason: str
) -> None:
    path = make(tmp_path, members=[pax_header(records) + A_FILE], listed=[paths_entry("a", b"x")])

    assert reason in refusal(path)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "member",
    [
        a_file(MODE, b"0100644\0"),
        a_file(UID, b" " * 8),
        a_file(MAJOR, b"0000000\x000000000\0"),
        a_file(MAJOR, b" " * 16),
        a_file(MTIME, b"\x80\0\0\0\x7f" + b"\xff" * 7),
        a_file(MTIME, b"\xff\xff\xff\xff\x80" + bytes(7)),
        tar_member("a", b"x", kind=b"7"),
        tar_member("a", b"x", magic=GNU_MAGIC),
        tar_member("a", b"x", magic=bytes(8)),
        pax_header({"comment": "x"}, b"g") * 2 + pax_header({"mtime": "-1.5", "uid": "0", "SCHILY.dev": "x"}) + A_FILE,
        in_format(gnu_long_name("a"), b"ustar\x0000") + tar_member("b", b"x"),
    ],
)
def test_read_header_that_all_clients_read_taken(tmp_path: Path, make: Maker, member: bytes) -> None:
    path = make(tmp_path, members=[member], listed=[paths_entry("a", b"x")])

    assert ("a", 1) in read(path, path.name).files
    rattler.package_streaming.extract(path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "a").read_bytes() == b"x"


NTFS, UNIX_TIMES = 0x000A, 0x5455
NTFS_CONTENT = struct.pack("<L2H3Q", 0, 1, 24, 1, 2, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extra": zip64_extra(5)}, "has ZIP64 sizes that its header does not ask for"),
        ({"extra": zip64_extra(5, 5)}, "has ZIP64 sizes that its header does not ask for"),
        ({"extra": zip64_extra(0, 0, 0)}, "has ZIP64 sizes that its header does not ask for"),
        ({"local_extra": zip64_extra(5, 5, 5)}, "has ZIP64 sizes that its header does not ask for"),
        ({"is_zip64": True, "local_extra": zip64_extra(5)}, "a malformed extra field of the kind 0x0001"),
        ({"local_extra": extra(NTFS, bytes(31))}, "a malformed extra field of the kind 0x000a"),
        ({"local_extra": extra(NTFS, bytes(32))}, "a malformed extra field of the kind 0x000a"),
        ({"local_extra": extra(NTFS, NTFS_CONTENT) * 2}, "a malformed extra field of the kind 0x000a"),
        ({"local_extra": extra(UNIX_TIMES, b"\1")}, "a malformed extra field of the kind 0x5455"),
        ({"local_extra": extra(UNIX_TIMES)}, "a malformed extra field of the kind 0x5455"),
        ({"local_extra": extra(UNIX_TIMES, b"\3" + bytes(8)) + b"\0"}, "a malformed extra field"),
        ({"local_extra": extra(0x7075)}, "an extra field of the kind 0x7075: a second name"),
        ({"extra": extra(0x6375, b"\1" + bytes(4))}, "an extra field of the kind 0x6375: a comment"),
        ({"local_extra": extra(0x9901, bytes(7))}, "an extra field of the kind 0x9901: encryption"),
        ({"extra": extra(0x9901, bytes(7))}, "an extra field of the kind 0x9901: encryption"),
        ({"needed": 64}, "needs version 6.4 of ZIP; at most 6.3"),
        ({"needed": 255}, "needs version 25.5 of ZIP"),
        ({"local_needed": 99}, "needs version 9.9 of ZIP"),
    ],
)
def test_read_zip_header_that_clients_read_otherwise_refused(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(make_conda(tmp_path, entries=each(**changes)))


@pytest.mark.parametrize("field", [extra(NTFS, bytes(32)), extra(UNIX_TIMES, b"\1")])
def test_read_malformed_times_in_the_directory_refused_beside_a_descriptor(tmp_path: Path, field: bytes) -> None:
    described_entries = described()
    path = make_conda(tmp_path, entries=lambda entries: described_entries(each(extra=field)(entries)))

    assert "a malformed extra field" in refusal(path)


@pytest.mark.parametrize(
    "field",
    [
        zip64_extra(0, 0),
        extra(0x0001),
        extra(NTFS, NTFS_CONTENT),
        extra(UNIX_TIMES, b"\1" + bytes(4)),
        extra(UNIX_TIMES, b"\7" + bytes(12)),
        extra(UNIX_TIMES, b"\0"),
        extra(0x7875, b"\1\4\0\0\0\0\4\0\0\0\0"),
        extra(0x9999, b"x") * 2,
    ],
)
def test_read_zip_header_that_all_clients_read_taken(tmp_path: Path, field: bytes) -> None:
    path = make_conda(tmp_path, entries=each(local_extra=field, extra=field, needed=63))

    assert read(path, path.name).name == "demo"
    rattler.package_streaming.extract(path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "share" / "demo.txt").read_bytes() == b"hello\n"
