"""Names that Windows or macOS takes for others: refused in Windows packages, a warning in noarch packages."""

from collections.abc import Callable
from pathlib import Path

import pytest

from publishing.archive import system_names
from publishing.archive.reader import read
from tests.archives import make_conda, make_tar_bz2, paths_entry, refusal, symlink, tar_member

Maker = Callable[..., Path]
MAKERS = [make_conda, make_tar_bz2]

UNFIT = (
    *("a:b.txt", "a::$DATA", ":x", "what?", "st*r", "<", "x>", "a|b", 'q"'),
    *("aux", "AUX", "con.txt", "con .txt", "Con.tar.gz", "prn", "d/NUL", "nul/x", "conin$", "CONOUT$.x"),
    *("com1.log", "COM9", "com0", "com\u00b9", "COM\u00b2.txt", "lpt\u00b3", "lpt9/x"),
    *("dot.", "dot..", "...", "end ", "end .", "d. /x", "d /x"),
)
FIT = (
    *("auxiliary", "a.aux", "com", "com10", "com\u2074", "lpt", "nul2.txt", "share/con_x", "conin"),
    *(".hidden", ".a", "a b", " a", "\u00e9", "a..b", "~1", "$x", "a~", "x;y"),
)


@pytest.mark.parametrize("name", UNFIT)
def test_fits_windows_name_that_it_changes_or_forbids_false(name: str) -> None:
    assert not system_names.fits_windows(name)
    assert not system_names.fits_windows(f"share/{name}")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", ["a:b.txt", "aux", "d/NUL.txt", "lpt\u00b9", "dot.", "d. /x", "what?"])
def test_read_name_that_windows_cannot_hold(tmp_path: Path, make: Maker, name: str) -> None:
    problem = f"{name!a} is a name that Windows cannot hold"
    for_any = make(tmp_path, build="1", files={name: b""})
    for_linux = make(tmp_path, build="2", subdir="linux-64", files={name: b""})

    assert read(for_any, for_any.name).warnings == (problem,)
    assert read(for_linux, for_linux.name).warnings == ()
    for subdir in ("win-64", "win-32", "win-arm64"):
        for_windows = make(tmp_path, build="3", subdir=subdir, files={name: b""})
        assert refusal(for_windows) == f"{problem}; rename it, since this package is for Windows"


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("subdir", ["noarch", "win-64", "linux-64", "osx-64"])
def test_read_names_that_windows_can_hold_taken(tmp_path: Path, make: Maker, subdir: str) -> None:
    path = make(tmp_path, subdir=subdir, files=dict.fromkeys(FIT, b""))

    assert read(path, path.name).warnings == ()


def test_read_name_below_info_that_windows_cannot_hold_refused_for_windows_alone(tmp_path: Path) -> None:
    info = {"recipe/a:b": b""}
    for_any = make_conda(tmp_path, build="1", info=info)

    assert read(for_any, for_any.name).warnings == ()
    reason = refusal(make_conda(tmp_path, subdir="win-64", info=info))
    assert "'info/recipe/a:b' is a name that Windows cannot hold" in reason


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("first", "second"),
    [("share/README", "share/readme"), ("D/a", "d/A"), ("\u00c9", "\u00e9"), ("\u00c9/x", "e\u0301/x")],
)
def test_read_files_that_differ_by_case_alone(tmp_path: Path, make: Maker, first: str, second: str) -> None:
    problem = f"{first!a} and {second!a} differ by case alone"
    files = {first: b"1", second: b"2"}

    for subdir in ("noarch", "osx-64"):
        path = make(tmp_path, subdir=subdir, files=files)
        assert read(path, path.name).warnings == (problem,)
    path = make(tmp_path, subdir="linux-64", files=files)
    assert read(path, path.name).warnings == ()
    assert problem in refusal(make(tmp_path, subdir="win-64", files=files))
    path = make(tmp_path, subdir="win-64", files=dict.fromkeys(files, b"same"))
    assert read(path, path.name).warnings == (problem,)


@pytest.mark.parametrize("make", MAKERS)
def test_read_links_and_directories_that_differ_by_case_alone_for_windows(tmp_path: Path, make: Maker) -> None:
    directories = [tar_member(f"{name}/", kind=b"5", mode=0o755) for name in ("d", "D")]
    path = make(tmp_path, subdir="win-64", members=directories)
    listed = [paths_entry(name, path_type="softlink") for name in ("l", "L")]
    links = [symlink("l", "share/demo.txt"), symlink("L", "share")]

    assert read(path, path.name).warnings == ()
    assert "differ by case alone" in refusal(make(tmp_path, subdir="win-64", members=links, listed=listed))


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("short", "name"),
    [("LONGNA~1.TXT", "long name.txt"), ("progra~2", "Program Files"), ("A~1.B", "a.b"), ("x/Y~1", "x/y")],
)
def test_read_name_that_may_be_a_short_one_of_windows(tmp_path: Path, make: Maker, short: str, name: str) -> None:
    files = {short: b"", name: b""}
    problem = "may be the short name of Windows of"

    path = make(tmp_path, files=files)
    [warning] = read(path, path.name).warnings
    assert problem in warning
    path = make(tmp_path, subdir="linux-64", files=files)
    assert read(path, path.name).warnings == ()
    assert problem in refusal(make(tmp_path, subdir="win-64", files=files))


def test_read_short_name_without_a_collision_is_accepted(tmp_path: Path) -> None:
    path = make_conda(tmp_path, subdir="win-64", files={"backup~1": b"", "LONGNA~1.TXT": b"", "d/longname.txt": b""})

    assert read(path, path.name).warnings == ()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".. /x", "has the segment '.. '"),
        ("d/..:x/y", "has the segment '..:x'"),
        ("..\u200d/x", "expected a plain path"),
        (".. ./x", "expected a plain path"),
        (". /x", "expected a plain path"),
        ("CONDA-~1/x.json", "which is for installers to write"),
        ("conda-meta:s/x.json", "which is for installers to write"),
        ("CONDA-META. ./x.json", "which is for installers to write"),
        ("conda\u00ad-meta/x.json", "which is for installers to write"),
        ("INFO /x", "lies in info/ where Windows or macOS unpacks it"),
        ("info::$INDEX_ALLOCATION/x", "lies in info/ where Windows or macOS unpacks it"),
        ("conda-meta::$INDEX_ALLOCATION/x", "which is for installers to write"),
    ],
)
def test_read_protected_folder_in_a_form_of_windows_or_macos_refused_for_all(
    tmp_path: Path, make: Maker, name: str, reason: str
) -> None:
    assert reason in refusal(make(tmp_path, subdir="linux-64", files={name: b""}))
