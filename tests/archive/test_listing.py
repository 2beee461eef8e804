"""Both forms of a package's list must agree with its archive: every path, and each file's size and hash."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from publishing.archive.reader import read
from tests.archives import hardlink, make_conda, make_tar_bz2, paths_entry, refusal, symlink, tar_bytes, tar_member

Maker = Callable[..., Path]
MAKERS = [make_conda, make_tar_bz2]
A_FILE = tar_member("a", b"x")
A_LISTED = paths_entry("a", b"x")
NO_SHA = {"sha256": None}
NO_SIZE = {"size_in_bytes": None}
OTHER_SHA = {"sha256": hashlib.sha256(b"y").hexdigest()}
OTHER_SIZE = {"size_in_bytes": 2}
SHA_DIFFERS = "info/paths.json gives 'a' another sha256 than the archive's file has"
SIZE_DIFFERS = "info/paths.json gives 'a' another size_in_bytes than the archive's file has"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        (OTHER_SHA, SHA_DIFFERS),
        (OTHER_SIZE, SIZE_DIFFERS),
        (OTHER_SHA | NO_SIZE, SHA_DIFFERS),
        (OTHER_SIZE | NO_SHA, SIZE_DIFFERS),
        ({"size_in_bytes": 0}, SIZE_DIFFERS),
        ({"size_in_bytes": 2**63 - 1}, SIZE_DIFFERS),
    ],
)
def test_read_file_that_is_not_as_stated_refused(
    tmp_path: Path, make: Maker, stated: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(make(tmp_path, members=[A_FILE], listed=[A_LISTED | stated]))


@pytest.mark.parametrize("stated", [{}, NO_SHA, NO_SIZE, NO_SHA | NO_SIZE, {"sha256": A_LISTED["sha256"].upper()}])
@pytest.mark.parametrize("make", MAKERS)
def test_read_file_that_is_as_stated_taken(tmp_path: Path, make: Maker, stated: dict[str, Any]) -> None:
    path = make(tmp_path, members=[A_FILE], listed=[A_LISTED | stated])

    assert ("a", 1) in read(path, path.name).files


@pytest.mark.parametrize("stated", [{}, OTHER_SHA, OTHER_SIZE])
def test_read_list_behind_its_files_compared(tmp_path: Path, stated: dict[str, Any]) -> None:
    whole = make_tar_bz2(tmp_path, members=[A_FILE], listed=[A_LISTED | stated], compress=lambda tar: tar).read_bytes()
    end = whole.index(b"share/demo.txt\0")
    info, rest = whole[:end], whole[end:].rstrip(b"\0")
    path = make_tar_bz2(tmp_path, tar=tar_bytes([rest + bytes(-len(rest) % 512), info]))

    if stated:
        assert "another s" in refusal(path)
    else:
        assert ("a", 1) in read(path, path.name).files


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("of_file", [{}, NO_SHA, NO_SIZE | NO_SHA])
@pytest.mark.parametrize(("of_link", "is_true"), [({}, True), (NO_SHA, True), (OTHER_SHA, False), (OTHER_SIZE, False)])
def test_read_hardlink_compared_as_its_file(
    tmp_path: Path, make: Maker, of_file: dict[str, Any], of_link: dict[str, Any], is_true: bool
) -> None:
    listed = [A_LISTED | of_file, {**A_LISTED, "_path": "b", **of_link}]
    path = make(tmp_path, members=[A_FILE, hardlink("b", "a")], listed=listed)

    if is_true:
        assert ("b", 0) in read(path, path.name).files
    else:
        assert "gives 'b' another s" in refusal(path)


@pytest.mark.parametrize(("content", "is_true"), [(b"x", True), (b"y", False)])
def test_read_hardlink_of_an_unlisted_licence_compared(tmp_path: Path, content: bytes, is_true: bool) -> None:
    members = [tar_member("info/licenses/L", b"x"), hardlink("a", "info/licenses/L")]
    path = make_conda(tmp_path, members=members, listed=[paths_entry("a", content)])

    if is_true:
        assert read(path, path.name).name == "demo"
    else:
        assert SHA_DIFFERS in refusal(path)


@pytest.mark.parametrize("make", MAKERS)
def test_read_symlink_with_the_hash_of_its_target_taken(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, members=[symlink("l", "share/demo.txt")], listed=[paths_entry("l", b"hello\n", "softlink")])

    assert read(path, path.name).file_count == 2


@pytest.mark.parametrize("make", MAKERS)
def test_read_symlink_that_is_copied_refused(tmp_path: Path, make: Maker) -> None:
    entry = paths_entry("l", b"", "softlink", no_link=True)
    path = make(tmp_path, members=[symlink("l", "share/demo.txt")], listed=[entry])

    assert "gives the symlink 'l' a no_link: conda keeps it, rattler copies" in refusal(path)


@pytest.mark.parametrize("make", MAKERS)
def test_read_wrong_path_is_reported_before_a_wrong_hash(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path, members=[A_FILE], listed=[A_LISTED | OTHER_SHA, paths_entry("missing")])

    assert "lists 'missing', which the archive does not hold" in refusal(path)


ALL = b"share/demo.txt\na\nl\n"
HELD = [A_FILE, symlink("l", "a"), tar_member("d/", kind=b"5", mode=0o755)]


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        ({"files": b"share/demo.txt\nl\n"}, "info/files does not list 'a', which the archive holds"),
        ({"files": b""}, "info/files does not list"),
        ({"files": b"\n"}, "info/files has an empty line"),
        ({"files": b"\r\n" + ALL}, "info/files has an empty line"),
        ({"files": ALL + b"\n"}, "info/files has an empty line"),
        ({"files": ALL + b"\r\n"}, "info/files has an empty line"),
        ({"files": ALL + b"a\n"}, "info/files lists 'a' twice"),
        ({"files": ALL + b"../demo-1.0-0/a\n"}, "info/files lists '../demo-1.0-0/a', which the archive does not hold"),
        ({"files": ALL + b"../demo-2.0-0/a\n"}, "info/files lists '../demo-2.0-0/a', which the archive does not hold"),
        ({"files": ALL + b"/etc/passwd\n"}, "info/files lists '/etc/passwd', which the archive does not hold"),
        ({"files": ALL.replace(b"a\n", b"./a\n")}, "info/files does not list 'a', which the archive holds"),
        ({"files": ALL.replace(b"/", b"//")}, "info/files does not list 'share/demo.txt'"),
        ({"files": ALL.replace(b"/", b"\\")}, "info/files does not list 'share/demo.txt'"),
        ({"files": ALL + b"d/\n"}, "info/files lists 'd/', which the archive does not hold"),
        ({"files": ALL + b"d\n"}, "info/files lists the directory 'd'"),
        ({"files": ALL + "a\u00a0\n".encode()}, "has the line 'a\\xa0'"),
        ({"files": ALL + b"\xff\n"}, "info/files is not UTF-8"),
        ({"files": ALL.removesuffix(b"\n") + b"\r"}, "has the line 'l\\r'"),
        ({"no_link": b" a\n"}, "info/no_link has the line ' a'"),
        ({"no_link": b"# a\n"}, "info/no_link has the line '# a'"),
        ({"no_link": b"l\n"}, "info/no_link names the symlink 'l'"),
        ({"no_link": b"share//demo.txt\n"}, "info/no_link names 'share//demo.txt', which only rattler takes for"),
        ({"has_prefix": b"/old text l\n"}, "info/has_prefix names the symlink 'l'"),
        ({"has_prefix": b"/old text share/./demo.txt\n"}, "names 'share/./demo.txt', which only rattler takes for"),
        ({"has_prefix": b"a\n\n"}, "info/has_prefix has the line ''"),
        ({"has_prefix": b"# x\na\n"}, "info/has_prefix has the line '# x'"),
        ({"has_prefix": b" /old text a\n"}, "info/has_prefix has the line ' /old text a'"),
        ({"has_prefix": b"/old text a \n"}, "info/has_prefix has the line '/old text a '"),
        ({"has_prefix": b"/old TEXT a\n"}, "info/has_prefix has the line '/old TEXT a'"),
        ({"has_prefix": b"/old\x0btext a\n"}, "info/has_prefix has the line"),
        ({"has_prefix": "/old\u00a0text a\n".encode()}, "info/has_prefix has the line"),
        ({"has_prefix": b"a\ra\n"}, "info/has_prefix has the line"),
        ({"has_prefix": b"\xff\n"}, "info/has_prefix is not UTF-8"),
    ],
)
def test_read_old_list_that_differs_from_the_archive_is_refused(
    tmp_path: Path, lists: dict[str, bytes], reason: str
) -> None:
    info = {"paths.json": None, "files": ALL} | lists

    assert reason in refusal(make_tar_bz2(tmp_path, members=HELD, info=info))


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"files": ALL.replace(b"\n", b"\r\n")},
        {"files": ALL.removesuffix(b"\n")},
        {"no_link": b"\na\nshare/demo.txt\n\n"},
        {"has_prefix": b"/old\ttext  a\r\nshare/demo.txt"},
    ],
)
def test_read_old_list_equal_to_the_archive_is_accepted(tmp_path: Path, lists: dict[str, bytes]) -> None:
    path = make_tar_bz2(tmp_path, members=HELD, info={"paths.json": None, "files": ALL} | lists)

    assert read(path, path.name).file_count == 3


def test_read_old_list_of_a_file_below_info_warned_of(tmp_path: Path) -> None:
    path = make_tar_bz2(tmp_path, info={"paths.json": None, "files": b"share/demo.txt\ninfo/about.json\n"})

    [warning] = read(path, path.name).warnings
    assert warning == "info/files lists 'info/about.json', so that clients put it into the environment"
