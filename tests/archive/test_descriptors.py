"""Data descriptors in the ZIP of a `.conda` file: accepted, unless a streaming reader may see other entries."""

import collections
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from publishing.archive.descriptors import DescriptorCheck
from publishing.archive.reader import BadPackage, read
from tests.archives import make_conda, paths_entry, refusal, tar_member
from tests.differential.shapes import raw_zstd
from tests.differential.zip_variants import described, skippable_frame_first
from tests.zips import ZipEntry

Entries = list[ZipEntry]
MARKER = b"here-is-a-descriptor-later"
SIGNED = b"PK\x07\x08%b"
BEFORE_ENTRY = b"%bPK\x03\x04"
BEFORE_DIRECTORY = b"%bPK\x01\x02"


def holding(tmp_path: Path, *, form: str, around: bytes, wrong: int = 0) -> Path:
    """Return a package with data descriptors that contains a false descriptor of the bytes before it."""

    def change(entries: Entries) -> Entries:
        content = entries[1].content
        end = content.index(MARKER)
        fake = around % struct.pack(f"<L2{form}", zlib.crc32(content[:end]), end + wrong, end + wrong)
        content = content[:end] + fake.ljust(len(MARKER), b"x") + content[end + len(MARKER) :]
        return described(1)([entries[0], replace(entries[1], content=content), entries[2]])

    file = b"text " + MARKER
    members, listed = [tar_member("share/a", file)], [{**paths_entry("share/a", file), "sha256": None}]
    return make_conda(tmp_path, members=members, listed=listed, compress=raw_zstd, entries=change)


@pytest.mark.parametrize(
    "entries",
    [described(), described(1), described(size="Q"), described(keeps_sizes=True), described(1, keeps_sizes=True)],
)
def test_zip_with_data_descriptors_taken_with_a_warning(tmp_path: Path, entries: Callable[[Entries], Entries]) -> None:
    path = make_conda(tmp_path, entries=entries)

    [warning] = read(path, path.name).warnings

    assert "data descriptors" in warning
    assert zipfile.ZipFile(path).testzip() is None


@pytest.mark.parametrize("entries", [described(signature=b""), described(size="Q", signature=b"")])
def test_data_descriptor_without_its_signature_refused(tmp_path: Path, entries: Callable[[Entries], Entries]) -> None:
    assert "announces a data descriptor" in refusal(make_conda(tmp_path, entries=entries))


def test_skippable_frame_in_an_entry_with_a_descriptor_refused(tmp_path: Path) -> None:
    assert "skippable" in refusal(make_conda(tmp_path, entries=skippable_frame_first))


@pytest.mark.parametrize("around", [SIGNED, BEFORE_ENTRY, BEFORE_DIRECTORY])
@pytest.mark.parametrize("form", ["L", "Q"])
def test_entry_that_holds_an_earlier_descriptor_of_its_own_refused(tmp_path: Path, form: str, around: bytes) -> None:
    assert "something like its own data descriptor" in refusal(holding(tmp_path, form=form, around=around))


@pytest.mark.parametrize("around", [SIGNED, BEFORE_ENTRY, BEFORE_DIRECTORY])
@pytest.mark.parametrize("form", ["L", "Q"])
def test_entry_that_holds_another_descriptor_taken(tmp_path: Path, form: str, around: bytes) -> None:
    path = holding(tmp_path, form=form, around=around, wrong=1)

    assert len(read(path, path.name).warnings) == 1


def test_described_package_of_a_zip_taken(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a", b"hello")
        archive.writestr("b", b"world" * 100)
    files = {"share/inner.zip": inner.getvalue()}
    path = make_conda(tmp_path, files=files, compress=raw_zstd, entries=described())

    assert len(read(path, path.name).warnings) == 1


@pytest.mark.parametrize("around", [SIGNED, BEFORE_ENTRY])
@pytest.mark.parametrize("piece_bytes", [1, 3, 50, 1000])
def test_watch_finds_a_descriptor_however_it_is_cut(around: bytes, piece_bytes: int) -> None:
    end = 300
    content = bytes(end) + around % struct.pack("<L2Q", 7, end, end) + bytes(300)
    watch = DescriptorCheck("pkg")

    pieces = [content[start : start + piece_bytes] for start in range(0, len(content), piece_bytes)]

    with pytest.raises(BadPackage):
        collections.deque(map(watch.check_next, pieces))
