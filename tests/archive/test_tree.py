"""The members of an archive: allowed places, allowed link targets, and their entries in info/paths.json."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rattler.package_streaming

from publishing.archive.reader import Limits, read
from tests.archives import (
    hardlink,
    make_conda,
    make_tar_bz2,
    paths_entry,
    pax_header,
    refusal,
    symlink,
    tar_member,
)

Maker = Callable[..., Path]
MAKERS = [make_conda, make_tar_bz2]

A_FILE = tar_member("a", b"x")
LONG = "/".join(["d" * 100] * 11)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([tar_member("/etc/passwd")], "the member '/etc/passwd' is absolute"),
        ([tar_member("C:/a")], "the member 'C:/a' is absolute"),
        ([tar_member("../a")], "the member '../a' has the segment '..'"),
        ([tar_member("a/../../b")], "has the segment '..'"),
        ([tar_member("a/.")], "is a file with a slash at the end of its name"),
        ([A_FILE, tar_member("././a")], "the archive has two members 'a'"),
        ([tar_member("d/a"), tar_member("d//a")], "the archive has two members 'd/a'"),
        ([tar_member("")], "a member without a name"),
        ([tar_member(".")], "the archive has a file as its root"),
        ([tar_member("a\\b")], "has a backslash"),
        ([tar_member("a\nb")], "has a control character"),
        ([tar_member("a\x7fb")], "has a control character"),
        ([tar_member("a\u0085b")], "has a control character"),
        ([tar_member(b"a\xff")], "is not UTF-8"),
        ([tar_member(b"a\xed\xa0\x80")], "is not UTF-8"),
        ([pax_header({"path": "n" * 256}), A_FILE], "has a segment of more than the 255 bytes allowed"),
        ([pax_header({"path": LONG}), A_FILE], "has 1110 bytes; at most 1024 are allowed"),
        ([pax_header({"path": "a\x00b"}), A_FILE], "has a control character"),
        ([pax_header({"path": ""}), A_FILE], "a member without a name"),
        ([tar_member("conda-meta/demo.json")], "'conda-meta/demo.json', which is for installers to write"),
        ([tar_member("Conda-Meta/demo.json")], "which is for installers to write"),
        ([tar_member("conda-meta", kind=b"5")], "which is for installers to write"),
        ([tar_member("Info/index.json")], "lies in info/ where Windows or macOS unpacks it"),
        ([tar_member("info./index.json")], "lies in info/ where Windows or macOS unpacks it"),
        ([tar_member("in\u200dfo/index.json")], "lies in info/ where Windows or macOS unpacks it"),
        ([tar_member("conda-meta./demo.json")], "which is for installers to write"),
        ([tar_member("info/REPODATA_RECORD.JSON")], "which is for installers to write"),
        ([tar_member("info/repodata_record.json:x")], "which is for installers to write"),
        ([tar_member("a/")], "is a file with a slash at the end of its name"),
        ([A_FILE, A_FILE], "the archive has two members 'a'"),
        ([A_FILE, tar_member("./a")], "the archive has two members 'a'"),
        ([tar_member("caf\u00e9"), tar_member("cafe\u0301")], "differ in Unicode normalisation alone"),
        ([A_FILE, tar_member("a/b")], "the member 'a/b' lies below 'a', which is no directory"),
        ([tar_member("a/b"), symlink("a", "share")], "the member 'a/b' lies below 'a', which is no directory"),
        ([symlink("a", "/etc/passwd")], "the symlink 'a' with the target '/etc/passwd' is absolute"),
        ([symlink("a", "../b")], "the symlink 'a' points outside the package: '../b'"),
        ([symlink("d/a", "../../b")], "points outside the package"),
        ([symlink("d/a", ".. /../b")], "which Windows or macOS changes"),
        ([symlink("d/a", "x/..:s/b")], "which Windows or macOS changes"),
        ([symlink("d/e/a", "../b/../../../c")], "points outside the package"),
        ([symlink("a", "b/../c")], "has a '..' after 'b', no directory of the package"),
        ([symlink("d/x", ".."), symlink("l", "d"), symlink("a", "l/x/../c")], "has a '..' after 'l'"),
        ([symlink("d/x", ".."), symlink("a", "d/x/../c")], "has a '..' after 'd/x', no directory of the package"),
        ([symlink("a", "share/demo.txt/../c")], "has a '..' after 'share/demo.txt', no directory"),
        ([tar_member("a", mode=0o4755)], "is a setuid, setgid or sticky file (4000)"),
        ([tar_member("a", mode=0o2755)], "is a setuid, setgid or sticky file (2000)"),
        ([tar_member("a", kind=b"7", mode=0o1644)], "is a setuid, setgid or sticky file (1000)"),
        ([tar_member("a", mode=0)], "the member 'a' is a file of the mode 0000, which its owner can't read or fill"),
        ([tar_member("a", mode=0o111)], "is a file of the mode 0111"),
        ([tar_member("a", mode=0o277)], "is a file of the mode 0277"),
        ([tar_member("info/test", mode=0o244)], "the member 'info/test' is a file of the mode 0244"),
        ([tar_member("d/", kind=b"5", mode=0)], "is a directory of the mode 0000, which its owner can't read or fill"),
        ([tar_member("d/", kind=b"5", mode=0o555)], "is a directory of the mode 0555"),
        ([tar_member("d/", kind=b"5", mode=0o677)], "is a directory of the mode 0677"),
        ([tar_member("./", kind=b"5", mode=0o377)], "is a directory of the mode 0377"),
        ([tar_member("info/", kind=b"5", mode=0o2500)], "is a directory of the mode 0500"),
        ([tar_member("a", fields=[(100, bytes(8))])], "has no mode or no size"),
        ([tar_member("a", size_field=bytes(12))], "has no mode or no size"),
        ([tar_member("a", fields=[(108, b"000x000\0")])], "where a number should be"),
        ([tar_member("a", fields=[(136, b"0000000000x\0")])], "where a number should be"),
        ([symlink("a", "")], "the symlink 'a' has no target"),
        ([symlink("a", "b\\c")], "has a backslash"),
        ([hardlink("b", "a"), A_FILE], "the hardlink 'b' points to 'a', which is no earlier file"),
        ([hardlink("a", "missing")], "which is no earlier file"),
        ([hardlink("a", "../b")], "has the segment '..'"),
        ([hardlink("a", "/etc/passwd")], "is absolute"),
        ([symlink("b", "a"), hardlink("c", "b")], "which is no earlier file"),
    ],
)
def test_read_bad_members_is_refused(tmp_path: Path, make: Maker, members: list[bytes], reason: str) -> None:
    assert reason in refusal(make(tmp_path, members=members, info={"paths.json": None} if make is make_tar_bz2 else {}))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"repodata_record.json": b"{}"}, "'info/repodata_record.json', which is for installers to write"),
        ({"INDEX.json": b"{}"}, "is info/index.json where Windows or macOS unpacks it"),
        ({"index.json ": b"{}"}, "is info/index.json where Windows or macOS unpacks it"),
        ({"Files": b""}, "is info/files where Windows or macOS unpacks it"),
        ({"INDEX~1.JSO": b"{}"}, "has a short name of Windows"),
        ({"../a": b""}, "has the segment '..'"),
        ({"index.json/a": b""}, "lies below 'info/index.json', which is no directory"),
    ],
)
def test_info_members_that_are_refused(tmp_path: Path, make: Maker, info: dict[str, bytes], reason: str) -> None:
    assert reason in refusal(make(tmp_path, info=info))


def test_documents_must_be_files(tmp_path: Path) -> None:
    path = make_tar_bz2(tmp_path, info={"index.json": None}, members=[symlink("info/index.json", "about.json")])

    assert refusal(path) == "info/index.json is a symlink; expected a file"


def test_info_archive_with_a_file_outside_info_refused(tmp_path: Path) -> None:
    path = make_conda(tmp_path, info={"../share/a": b""}, info_tar=tar_member("share/a") + bytes(1024))

    assert "the info archive holds 'share/a'; expected members under info/ alone" in refusal(path)


LICENCE = "info/licenses/LICENSE"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([tar_member(LICENCE, b"MIT")], id="a licence"),
        pytest.param([tar_member("info/", kind=b"5"), tar_member("info/licenses/", kind=b"5")], id="directories"),
        pytest.param([tar_member(LICENCE, b"MIT"), hardlink("info/licenses/COPYING", LICENCE)], id="a hardlink"),
        pytest.param([hardlink(LICENCE, "share/demo.txt")], id="a hardlink to a file outside info"),
        pytest.param([symlink(LICENCE, "../../share/demo.txt")], id="a symlink"),
        pytest.param([tar_member("info/test/run_test.sh"), tar_member("info/recipe/meta.yaml")], id="tests and recipe"),
    ],
)
def test_pkg_archive_with_files_under_info_taken_as_rattler_unpacks_it(tmp_path: Path, members: list[bytes]) -> None:
    path = make_conda(tmp_path, members=members)

    assert [name for name, _ in read(path, path.name).files] == ["share/demo.txt"]
    rattler.package_streaming.extract(path, tmp_path / "unpacked")
    for member in members:
        assert os.path.lexists(tmp_path / "unpacked" / member[:100].rstrip(b"\0").decode())


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([tar_member("info/about.json", b"{}")], "the pkg archive holds 'info/about.json', which clients read"),
        ([tar_member("info/run_exports.json", b"{}")], "the pkg archive holds 'info/run_exports.json'"),
        ([tar_member("info/Has_Prefix", b"")], "the pkg archive holds 'info/Has_Prefix'"),
        ([symlink("info/no_link", "files")], "the pkg archive holds 'info/no_link'"),
        ([tar_member("info/files", b"")], "the pkg archive holds 'info/files'"),
        ([tar_member("info/index.json.", b"{}")], "'info/index.json.', which clients read"),
        ([tar_member("info/index.json ", b"{}")], "'info/index.json ', which clients read"),
        ([tar_member("info/LINK.json. .", b"{}")], "'info/LINK.json. .', which clients read"),
        ([tar_member("info/paths.json::$DATA", b"{}")], "'info/paths.json::$DATA', which clients read"),
        ([tar_member("info/paths.json .:x", b"{}")], "'info/paths.json .:x', which clients read"),
        ([tar_member("info/has_p\u200crefix", b"")], "which clients read"),
        ([tar_member("info/INDEX~1.JSO", b"{}")], "whose name Windows or macOS changes"),
        ([tar_member("info/recipe./x", b"{}")], "whose name Windows or macOS changes"),
        ([tar_member("info/reci\u200cpe", b"{}")], "whose name Windows or macOS changes"),
        ([tar_member("info/repodata_record.json", b"")], "which is for installers to write"),
        ([tar_member("info/recipe", b"")], "the info archive and the pkg archive both hold 'info/recipe'"),
        ([hardlink("a", "info/recipe")], "which is no earlier file of the pkg archive"),
    ],
)
def test_pkg_archive_with_a_document_under_info_refused(tmp_path: Path, members: list[bytes], reason: str) -> None:
    path = make_conda(tmp_path, info={"recipe": b"x"}, members=members, listed=[paths_entry("a")])

    assert reason in refusal(path)


@pytest.mark.parametrize("make", MAKERS)
def test_licence_files_are_kept_with_as_much_text_as_a_page_shows(tmp_path: Path, make: Maker) -> None:
    members = [
        tar_member("info/licenses/MIT.txt", b"do\x00 it\r\n\xffnow\n"),
        tar_member("info/licenses/b/LONG", b"x" * 70_000),
        tar_member("info/licenses/LAST", b"gone"),
    ]
    path = make(tmp_path, members=members)

    first, long, last = read(path, path.name).licences

    assert first == ("info/licenses/MIT.txt", "do\ufffd it\n\ufffdnow\n")
    assert long[0] == "info/licenses/b/LONG"
    assert 60_000 < len(long[1]) < 65_536
    assert last == ("info/licenses/LAST", "")


def test_licence_of_old_conda_build_kept(tmp_path: Path) -> None:
    path = make_tar_bz2(tmp_path, info={"LICENSE.txt": b"BSD"})

    assert read(path, path.name).licences == (("info/LICENSE.txt", "BSD"),)


def test_info_must_be_a_directory(tmp_path: Path) -> None:
    assert (
        refusal(make_tar_bz2(tmp_path, tar=symlink("info", "share")))
        == "the member 'info' is a symlink; expected a directory"
    )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("members", "listed", "reason"),
    [
        ([A_FILE], [], "info/paths.json does not list 'a', which the archive holds"),
        ([], [paths_entry("a")], "info/paths.json lists 'a', which the archive does not hold"),
        ([A_FILE], [paths_entry("./a"), paths_entry("a")], "lists './a', which the archive does not hold"),
        ([A_FILE], [paths_entry("a"), paths_entry("a")], "info/paths.json lists 'a' twice"),
        ([], [paths_entry("info/missing")], "lists 'info/missing', which the archive does not hold"),
        ([], [paths_entry("info/index.json", path_type="softlink")], "calls 'info/index.json' a softlink"),
        ([A_FILE], [paths_entry("a", path_type="softlink")], "calls 'a' a softlink; the archive holds a file"),
        ([symlink("a", "b")], [paths_entry("a")], "calls 'a' a hardlink; the archive holds a symlink"),
        ([], [paths_entry("d", path_type="directory")], "lists the directory 'd', which neither conda nor rattler"),
    ],
)
def test_paths_json_that_does_not_match(
    tmp_path: Path, make: Maker, members: list[bytes], listed: list[dict[str, Any]], reason: str
) -> None:
    assert reason in refusal(make(tmp_path, members=members, listed=listed))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the archive has no info/paths.json, which a .conda file must have"),
        (b"", "expected '{', found ''"),
        (b"[]", "expected '{', found '['"),
        (b"{}", "info/paths.json lacks paths and paths_version"),
        (b'{"paths": []}', "info/paths.json lacks paths_version"),
        (b'{"paths": [], "paths_version": 2}', "has the paths_version 2; expected 1"),
        (b'{"paths": [], "paths_version": 1.0}', "has the paths_version 1.0; expected 1"),
        (b'{"paths": [], "paths_version": true}', "has the paths_version True; expected 1"),
        (b'{"paths": {}, "paths_version": 1}', "expected '[', found '{'"),
        (b'{"paths": [], "paths_version": 1} x', "there is more after its end"),
        (b'{"paths": [], "paths": [], "paths_version": 1}', "stands twice"),
        (b'{"paths": [,], "paths_version": 1}', "Expecting value"),
        (b'{"paths": [{}], "paths_version": 1}', "has the entry {} without a _path"),
        (b'{"paths": ["a"], "paths_version": 1}', "has the entry 'a' without a _path"),
        (b'{"paths": [{"_path": "a"}], "paths_version": 1}', "gives 'a' the path_type None"),
        (b'{"paths": [{"_path": "a", "path_type": []}], "paths_version": 1}', "gives 'a' the path_type []"),
        (b'{"paths": [{"_path": "a", "_path": "b"}]}', "the key '_path' stands twice in one object"),
        (b'{"paths": [{"_path": "\\ud800"}]}', "holds a lone surrogate"),
        (b'{"paths": [{"_path": "a\\u0000"}]}', "holds a NUL"),
        (b'{"paths": [NaN]}', "NaN is no value of JSON"),
        (b'{"paths": ["\xff"]}', "it is not UTF-8"),
        (b'{"paths": ["' + b"a" * 70_000 + b'"]}', "a value of more than 65536 characters"),
        (b'{"paths": [' + b"[" * 5000, "nested deeper than the 64 levels allowed"),
        (json.dumps({f"k{number}": 0 for number in range(65)}).encode(), "one of too many"),
    ],
)
def test_paths_json_that_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path, info={"paths.json": content}))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"sha256": "abc"}, "gives 'a' the sha256 'abc'"),
        ({"sha256": 1}, "gives 'a' the sha256 1"),
        ({"size_in_bytes": -1}, "gives 'a' the size_in_bytes -1"),
        ({"size_in_bytes": True}, "gives 'a' the size_in_bytes True"),
        ({"no_link": "yes"}, "gives 'a' the no_link 'yes'"),
        ({"prefix_placeholder": "/old"}, "a prefix_placeholder with the file_mode None"),
        ({"prefix_placeholder": 1, "file_mode": "text"}, "a prefix_placeholder with the file_mode 'text'"),
        ({"inode_paths": "x"}, "gives 'a' the inode_paths 'x'"),
        ({"inode_paths": [1]}, "gives 'a' the inode_paths [1]"),
        ({"inode_paths": 1.0}, "gives 'a' the inode_paths 1.0"),
        ({"sha256_in_prefix": {}}, "gives 'a' the sha256_in_prefix {}"),
        ({"sha256_in_prefix": [1]}, "gives 'a' the sha256_in_prefix [1]"),
        ({"file_mode": "x"}, "gives 'a' the file_mode 'x'; expected text or binary"),
    ],
)
def test_entries_of_paths_json_that_are_refused(tmp_path: Path, wrong: dict[str, Any], reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path, members=[A_FILE], listed=[{**paths_entry("a"), **wrong}]))


def test_a_large_paths_json_is_read_in_pieces(tmp_path: Path) -> None:
    files = {f"share/\u00e9{number}/{'x' * 80}": b"" for number in range(5000)}
    path = make_conda(tmp_path, files=files)

    assert read(path, path.name).name == "demo"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "members",
    [
        [tar_member("./", kind=b"5"), tar_member("d/", kind=b"5"), tar_member("e", kind=b"5")],
        [tar_member("d/", kind=b"5"), tar_member("./d", kind=b"5")],
        [tar_member("d/", kind=b"\0", magic=bytes(8), mode=0o755)],
        [tar_member("d/", kind=b"5", mode=0o2775)],
    ],
)
def test_read_directory_entries_is_accepted(tmp_path: Path, make: Maker, members: list[bytes]) -> None:
    path = make(tmp_path, members=members)

    assert read(path, path.name).warnings == ()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["././a", "d//a", "d/./a", "./d/.//a"])
def test_member_with_empty_segments_taken_as_its_plain_path(tmp_path: Path, make: Maker, name: str) -> None:
    plain = "d/a" if "d" in name else "a"
    path = make(tmp_path, members=[tar_member(name, b"x")], listed=[paths_entry(plain, b"x")])

    assert (plain, 1) in read(path, path.name).files


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("target", ["share/../share/demo.txt", "lib/x/../../share/demo.txt", "./lib//x/../y"])
def test_symlink_through_directories_of_the_package_taken(tmp_path: Path, make: Maker, target: str) -> None:
    listed = [paths_entry("lib/x/y"), paths_entry("l", path_type="softlink")]
    path = make(tmp_path, members=[symlink("l", target), tar_member("lib/x/y")], listed=listed)

    assert read(path, path.name).name == "demo"


def test_symlinks_with_too_many_detours_refused(tmp_path: Path) -> None:
    links = [symlink(f"l{number}", "d/" * 10 + "../" * 10 + "x") for number in range(1100)]
    path = make_tar_bz2(tmp_path, members=links, info={"paths.json": None})

    assert "more than 10000 symlinks with '..' after a name" in refusal(path)


def test_listed_file_below_info_warned_of(tmp_path: Path) -> None:
    path = make_conda(tmp_path, info={"recipe": b"x"}, listed=[paths_entry("info/recipe", b"x")])

    [warning] = read(path, path.name).warnings
    assert warning == "info/paths.json lists 'info/recipe', so that clients put it into the environment"


OLD = {"paths.json": None, "files": b"share/demo.txt\n"}


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"files": None}, "neither info/paths.json nor an info/files"),
        ({"files": b"share/demo.txt\nmissing\n"}, "info/files lists 'missing', which the archive does not hold"),
        ({"files": b"share/demo.txt \n"}, "info/files has the line 'share/demo.txt '"),
        ({"files": b"# all\nshare/demo.txt\n"}, "info/files has the line '# all'"),
        ({"files": b" share/demo.txt\n"}, "info/files has the line ' share/demo.txt'"),
        ({"files": b"share/demo.txt\n \t\n"}, "info/files has the line ' \\t'"),
        ({"files": b"share/demo.txt\rshare/demo.txt\r"}, "info/files has the line"),
        ({"files": b"share/demo.txt\r\r\n"}, "info/files has the line"),
        ({"files": b"\xef\xbb\xbfshare/demo.txt\n"}, "info/files begins with a byte order mark"),
        ({"files": b"share/demo.txt\nshare/d\n"}, "info/files lists the directory 'share/d'"),
        ({"has_prefix": b'"/old" "text" "share/demo.txt"\n'}, "info/has_prefix has the line"),
        ({"has_prefix": b"/old x share/demo.txt\n"}, "info/has_prefix has the line"),
        ({"has_prefix": b"text share/demo.txt\n"}, "info/has_prefix has the line"),
        ({"no_softlink": b"share/demo.txt\n"}, "info/no_softlink lists 'share/demo.txt'"),
    ],
)
def test_old_lists_that_a_client_misreads_refused(tmp_path: Path, info: dict[str, bytes | None], reason: str) -> None:
    directory = tar_member("share/d/", kind=b"5")

    assert reason in refusal(make_tar_bz2(tmp_path, info=OLD | info, members=[directory]))


@pytest.mark.parametrize("info", [{}, {"files": b"share/demo.txt\r\n"}, {"has_prefix": b"share/demo.txt"}])
def test_old_lists_that_clients_read_alike_taken(tmp_path: Path, info: dict[str, bytes]) -> None:
    path = make_tar_bz2(tmp_path, info=OLD | info)

    assert read(path, path.name).files == (("share/demo.txt", 6),)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(info_members=2), "more than the 2 members allowed under info/"),
        (Limits(pkg_members=1), "more than the 1 members allowed outside info/"),
        (Limits(all_paths_bytes=20), "the paths of all members take more than the 20 B allowed"),
        (Limits(path_bytes=14), "at most 14 are allowed"),
        (Limits(segment_bytes=4), "has a segment of more than the 4 bytes allowed"),
        (Limits(index_json_bytes=10), "info/index.json has"),
        (Limits(paths_json_bytes=10), "info/paths.json has"),
        (Limits(about_json_bytes=1), "info/about.json has 2 bytes; at most 1 B are allowed"),
    ],
)
def test_read_members_beyond_a_limit_is_refused(tmp_path: Path, make: Maker, limits: Limits, reason: str) -> None:
    assert reason in refusal(make(tmp_path, files={"a": b"", "b": b""}), limits)
