"""Small hostile packages that could cost the hub much time or memory: the cost of each is bounded."""

import json
import re
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import rattler
import zstandard

from hub.sizes import KIB
from publishing.archive import documents, kinds, specs, system_names
from publishing.archive.errors import BadPackage
from publishing.archive.limits import Budget, Limits
from publishing.archive.reader import read
from tests.archives import make_conda, make_tar_bz2, paths_entry, pax_header, refusal, tar_member

ROOT = Path(__file__).parents[2]
# All patterns on all inputs take a second. A pattern that backtracks exponentially would not finish.
PATTERNS_CPU_SECONDS = 60
NAME_BYTES = KIB
# Patterns that the hub only matches: each begins with a repetition, so a search takes quadratic time.
MATCHED = (kinds.TEXT, kinds.REPEATED)
UNITS = (
    "<!--", "-->", "<!---->", "<?xml", "?>", "<Error>", "<Code>", "<html", "../", ".git", "-----", "[", "EGG-INFO/",
    " ", "\n", ".conda", ".tar", ".bz2", ".", ".1", "(1)", "(", ")", "1", " copy", " - Copy", " (1", "a", "META-INF/",
)  # fmt: skip
SPEC_UNITS = (
    "*a",
    "1",
    "1.*",
    ",",
    "|",
    " ",
    "  ",
    "=",
    ">=",
    "!=",
    "!",
    "~",
    "a-",
    "a.",
    "(",
    "[",
    "'",
    "^",
    "::",
    "/",
)
SPEC_FRAMES = (("n ", ""), ("n >=1", "@"), ("", "::n"), ("n[version='", "']"), ("n[", "]"), ('n[when="', '"]'))

SLOW_BUILDS = (r"\w" * 480, r"(\w)" * 200, r"\pL" * 20, r"\W", "." * 100, ".{900}" * 20, "a{9}")
EMPTY_FRAME = zstandard.ZstdCompressor().compress(b"")
# A frame with a window of 128 MiB and one empty raw block.
WIDE_FRAME = b"\x28\xb5\x2f\xfd\x00\x88\x01\x00\x00"
SKIPPABLE_FRAME = struct.pack("<4sL", b"\x50\x2a\x4d\x18", 0)
Maker = Callable[..., Path]


def repeated(size_bytes: int) -> Iterator[str]:
    """Yield texts up to `size_bytes` long that repeat one or two of UNITS, with an end that fails every pattern."""
    for unit in (*UNITS, *map("".join, product(UNITS, UNITS))):
        for beginning in ("", "<?xml", "x"):
            yield (beginning + unit * size_bytes)[: size_bytes - 1] + "\x00"


def patterns() -> Iterator[tuple[re.Pattern[Any], int]]:
    """Yield every pattern of kinds.py with the size of its inputs."""
    for table, size_bytes in ((kinds.TEXTS, kinds.HEAD_BYTES), (kinds.ZIPS, kinds.TAIL_BYTES)):
        for pattern, _ in table:
            yield re.compile(pattern), size_bytes
    for value in vars(kinds).values():
        if isinstance(value, re.Pattern):
            yield value, kinds.HEAD_BYTES if isinstance(value.pattern, bytes) else NAME_BYTES


def match_all() -> None:
    """Match every pattern with every text of its size."""
    for pattern, size_bytes in patterns():
        for text in repeated(size_bytes):
            content = text.encode() if isinstance(pattern.pattern, bytes) else text
            pattern.match(content)
            if pattern not in MATCHED:
                pattern.search(content)
    for text in repeated(kinds.HEAD_BYTES):
        kinds.name_problem(text)
        kinds._text_kind(text.encode())


def check_all_specs() -> None:
    """Check specs that repeat one or two of SPEC_UNITS, with the hub's grammar only."""
    for beginning, end in SPEC_FRAMES:
        for unit in (*SPEC_UNITS, *map("".join, product(SPEC_UNITS, SPEC_UNITS))):
            with suppress(specs.NotAlikeError):
                specs._check((beginning + unit * 300)[: 300 - len(end)] + end)


@pytest.mark.parametrize("work", ["match_all", "check_all_specs"])
def test_check_repeated_inputs_no_pattern_backtracks(work: str) -> None:
    """A match holds the interpreter's lock, so only the kernel can end it, by a limit of CPU time."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (PATTERNS_CPU_SECONDS, PATTERNS_CPU_SECONDS))

    program = f"from tests.archive.test_costs import {work}; {work}()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, preexec_fn=bound, timeout=20 * PATTERNS_CPU_SECONDS, check=False
    )

    assert done.returncode == 0


@pytest.mark.parametrize("repeats", [40, 140, 10_000])
def test_read_comments_without_end_refused(tmp_path: Path, repeats: int) -> None:
    path = tmp_path / "a-1.0-0.conda"
    path.write_bytes(b"<!---->" * repeats + b"x")

    assert "it is a text" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"<!-- a --> <!--b-->\n<html>", b"<!-- a\n b --><!DOCTYPE HTML>", b"<!----><head>"]
)
def test_read_html_page_after_comments_is_reported_as_html(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a-1.0-0.conda"
    path.write_bytes(content)

    assert "an HTML page" in refusal(path)


@pytest.mark.parametrize("build", SLOW_BUILDS)
@pytest.mark.parametrize("form", ["n[build='^{}$']", "n 1 ^{}$", "^{}$", 'n[when="b 1 ^{}$"]', "n[license='^{}$']"])
def test_check_regex_that_compiles_slowly_refused_before_a_client_reads_it(
    monkeypatch: pytest.MonkeyPatch, build: str, form: str
) -> None:
    monkeypatch.delattr(rattler, "MatchSpec")

    with pytest.raises(specs.NotAlikeError, match="compile slowly"):
        specs.check(form.format(build))


@pytest.mark.parametrize("build", ["^.*mkl$", "^py(39|310)_.*$", r"^py\d+_0$", r"^a\.b$", f"^{'a' * 62}$"])
def test_check_regex_of_a_real_build_taken(build: str) -> None:
    specs.check(f"numpy[build='{build}']")


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_read_spec_that_stands_often_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Maker) -> None:
    checked: list[str] = []
    monkeypatch.setattr(specs, "check", checked.append)
    spec = "numpy[build='^py.*$']"
    index = {"constrains": [spec] * 50, "repodata_revision": 0}

    run_exports = json.dumps([spec]).encode()
    path = make(tmp_path, depends=[spec] * 50, index=index, info={"run_exports.json": run_exports})

    read(path, path.name)

    assert checked == [spec]


def test_run_export_warnings_when_time_is_over_refuses() -> None:
    budget = Budget.for_info("the info archive", 1, Limits(info_seconds=-1))

    with pytest.raises(BadPackage, match="info_seconds"):
        list(documents.run_export_warnings({"weak": ["a >=1"]}, specs.SpecReader(budget)))


@pytest.mark.parametrize("frame", [EMPTY_FRAME, WIDE_FRAME, SKIPPABLE_FRAME])
def test_read_many_zstd_frames_refused_by_their_number(tmp_path: Path, frame: bytes) -> None:
    path = make_conda(tmp_path, compress=lambda tar: frame * 20_000 + zstandard.compress(tar))

    assert "zstd_frames" in refusal(path)


@pytest.mark.parametrize("frame", [EMPTY_FRAME, WIDE_FRAME, SKIPPABLE_FRAME])
def test_read_zstd_frames_up_to_the_limit_taken(tmp_path: Path, frame: bytes) -> None:
    path = make_conda(tmp_path, compress=lambda tar: frame * 63 + zstandard.compress(tar))

    assert read(path, path.name).name == "demo"


def test_read_zstd_frames_of_a_large_archive_counted_by_its_size(tmp_path: Path) -> None:
    large = SKIPPABLE_FRAME[:4] + struct.pack("<L", 64 * KIB) + bytes(64 * KIB)
    path = make_conda(tmp_path, compress=lambda tar: large * 200 + zstandard.compress(tar))

    assert read(path, path.name).name == "demo"


def test_folded_name_of_dots_and_blanks_takes_no_longer_than_another() -> None:
    """Every member's path is folded, and 60,000 such paths compress to 300 kB."""
    seconds = {}
    for segment in ("ab" * 127 + "x", ". " * 127 + "x", "." * 254 + "x", " " * 254 + "x"):
        path = "/".join([segment] * 4)
        begun = time.process_time()
        for _ in range(100):
            system_names.case_folded(path)
        seconds[segment] = time.process_time() - begun

    assert max(seconds.values()) < 15 * min(seconds.values())


@pytest.mark.parametrize("kind", [b"x", b"g"])
@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_read_pax_header_of_many_records_refused(tmp_path: Path, make: Maker, kind: bytes) -> None:
    """A header may have 64 KiB, and 4,000 of them compress to 60 kB."""
    header = pax_header({f"SCHILY.xattr.{number}": "x" for number in range(65)}, kind)
    path = make(tmp_path, files={}, members=[header + tar_member("a")], listed=[paths_entry("a")])

    assert "a pax header of more than 64 records" in refusal(path)


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_read_pax_header_of_some_records_taken(tmp_path: Path, make: Maker) -> None:
    header = pax_header({f"SCHILY.xattr.{number}": "x" for number in range(64)})
    path = make(tmp_path, files={}, members=[header + tar_member("a")], listed=[paths_entry("a")])

    assert read(path, path.name).file_count == 1


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize(
    "value",
    [[[]] * 10_000, [0] * 10_000, {str(key): "" for key in range(10_000)}, [{"a": [[0] * 10]}] * 900],
    ids=["lists", "numbers", "keys", "nested"],
)
def test_read_index_of_many_values_refused(tmp_path: Path, make: Maker, value: object) -> None:
    """A package of one kilobyte would take 26 MiB of memory in each build that reads it."""
    assert "has more than 10000 values" in refusal(make(tmp_path, index={"x": value}))


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_read_index_of_as_many_specs_as_allowed_taken(tmp_path: Path, make: Maker) -> None:
    index = {"depends": ["a"] * 2_000, "x": [[{"a": 1}]] * 2_600}
    path = make(tmp_path, index=index)

    assert read(path, path.name).name == "demo"


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_read_list_of_more_paths_than_members_are_allowed_refused(tmp_path: Path, make: Maker) -> None:
    """Without the limit, two million paths in 2 MB of package took 14 s and 370 MiB before the refusal."""
    path = make(tmp_path, listed=[paths_entry(str(number)) for number in range(20)])

    assert "pkg_members" in refusal(path, Limits(pkg_members=15, info_members=5))
    assert "lists '0', which the archive does not hold" in refusal(path, Limits(pkg_members=16, info_members=5))


def test_read_old_list_of_more_paths_than_members_are_allowed_refused(tmp_path: Path) -> None:
    files = "".join(f"{number}\n" for number in range(21)).encode()
    path = make_tar_bz2(tmp_path, info={"paths.json": None, "files": files})

    assert "info/files lists more paths than the members allowed" in refusal(
        path, Limits(pkg_members=15, info_members=5)
    )
