"""publishing.archive.reader: the facts of a good archive, and a clean refusal for any other bytes."""

import bz2
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rattler
import rattler.package_streaming
import rattler_build
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from publishing.archive import kinds
from publishing.archive.reader import BadPackage, Limits, parse_file_name, read
from tests.archives import (
    CONDA_BUILD_PACKAGES,
    SHARED_PACKAGES,
    gnu_long_name,
    hardlink,
    make_conda,
    make_tar_bz2,
    paths_entry,
    pax_header,
    refusal,
    symlink,
    tar_member,
)

REAL_PACKAGES = sorted(SHARED_PACKAGES.glob("*/*.conda")) + sorted(SHARED_PACKAGES.glob("*/*.tar.bz2"))
MAKERS = [make_conda, make_tar_bz2]
LINK = b'{"noarch": {"type": "generic"}, "package_metadata_version": 1}'
Maker = Callable[..., Path]

RECIPE = """
package: {name: demo, version: "1.0"}
build:
  number: 3
  noarch: generic
  flags: [cuda, "blas:mkl"]
  script:
    - mkdir -p $PREFIX/etc/conda/activate.d $PREFIX/share/empty
    - echo $PREFIX > $PREFIX/share/prefix.txt
    - ln $PREFIX/share/prefix.txt $PREFIX/share/hardlink.txt
    - echo hi > $PREFIX/etc/conda/activate.d/demo.sh
requirements:
  run: ['python[when="__win"]']
  extras: {test: [pytest]}
  run_exports: [demo]
about: {homepage: "https://example.org", license: MIT, summary: A demo}
"""


@pytest.mark.parametrize("path", REAL_PACKAGES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_real_packages_are_read_as_rattler_reads_them(path: Path) -> None:
    info = read(path, path.name)

    index = rattler.package.IndexJson.from_package_archive(path)
    assert (info.name, info.version) == (index.name.normalized, str(index.version))
    assert (info.build, info.build_number) == (str(index.build), index.build_number)
    assert info.subdir == index.subdir == path.parent.name
    assert info.index.get("depends", []) == index.depends
    assert (info.revision, info.warnings) == (1, ())


@pytest.mark.parametrize("path", CONDA_BUILD_PACKAGES, ids=lambda path: path.name)
def test_package_of_conda_build_read_with_its_licences(path: Path) -> None:
    info = read(path, path.name)

    assert (info.subdir, info.warnings) == (path.parent.name, ())
    assert info.about["license"]
    [(name, text)] = info.licences
    assert name.startswith("info/licenses/")
    assert len(text) > 200


@pytest.mark.parametrize("make", MAKERS)
def test_facts_of_a_package(tmp_path: Path, make: Maker) -> None:
    files = {"etc/conda/activate.d/demo.sh": b"", "bin/.demo-post-link.sh": b"", "Scripts/.demo-pre-unlink.bat": b""}
    placeholder = {"prefix_placeholder": "/old", "file_mode": "binary"}
    path = make(
        tmp_path,
        subdir="linux-64",
        depends=["python >=3.9"],
        files=files,
        members=[tar_member("lib/demo.so", b"/old")],
        listed=[paths_entry("lib/demo.so", b"/old", **placeholder)],
        index={"build_number": 7, "unknown": {"kept": [1, 2.5, None]}},
        info={"about.json": b'{"license": "MIT"}', "run_exports.json": b'["demo >=1"]'},
    )

    info = read(path, path.name)

    assert (info.file_name, info.name, info.version, info.build) == (path.name, "demo", "1.0", "0")
    assert (info.build_number, info.subdir, info.revision) == (7, "linux-64", 1)
    assert path.name == f"demo-1.0-0{info.extension}"
    assert info.index["unknown"] == {"kept": [1, 2.5, None]}
    assert info.about == {"license": "MIT"}
    assert info.run_exports == {"weak": ["demo >=1"]}
    assert info.features == ("activate.d", "binary_prefix", "post_link", "pre_unlink")


@pytest.mark.parametrize("make", MAKERS)
def test_read_members_of_valid_types_is_accepted(tmp_path: Path, make: Maker) -> None:
    long_name = "/".join(["d" * 90] * 10)
    path = make(
        tmp_path,
        members=[
            tar_member("lib/", kind=b"5"),
            tar_member("lib/a", b"x"),
            symlink("lib/b", "../share/demo.txt"),
            symlink("c", "./lib/nowhere"),
            hardlink("lib/d", "lib/a"),
            tar_member("./lib/e", b"y"),
            pax_header({"path": long_name, "mtime": "1.5"}),
            tar_member("short"),
            gnu_long_name(long_name + "2"),
            tar_member("short"),
            tar_member("f", prefix=b"prefix"),
        ],
        listed=[
            paths_entry("lib/a", b"x"),
            paths_entry("lib/b", path_type="softlink"),
            paths_entry("c", path_type="softlink"),
            paths_entry("lib/d", b"x"),
            paths_entry("lib/e", b"y"),
            paths_entry(long_name),
            paths_entry(long_name + "2"),
            paths_entry("prefix/f"),
        ],
    )

    assert read(path, path.name).warnings == ()
    unpacked = tmp_path / "unpacked"
    rattler.package_streaming.extract(path, unpacked)
    for name in ("lib/a", "lib/b", "lib/d", "lib/e", long_name, long_name + "2", "prefix/f"):
        assert (unpacked / name).is_file(), name
    assert (unpacked / "c").is_symlink()


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("subdir", "count"), [("noarch", 1), ("win-64", 1), ("osx-64", 1), ("linux-64", 0)])
def test_names_that_differ_by_case_alone_are_a_warning(tmp_path: Path, make: Maker, subdir: str, count: int) -> None:
    path = make(tmp_path, subdir=subdir, files={"share/README": b"", "share/readme": b""})

    assert read(path, path.name).warnings == ("'share/README' and 'share/readme' differ by case alone",) * count


@pytest.mark.parametrize(
    ("stated", "normalised"),
    [
        (["a", "b >=1"], {"weak": ["a", "b >=1"]}),
        ({"strong": ["a"], "weak": []}, {"strong": ["a"]}),
        ({"noarch": "a", "weak_constrains": ["b"]}, {"noarch": ["a"], "weak_constrains": ["b"]}),
        ({"schema_version": 2, "weak": ['a[when="__unix"]']}, {"weak": ['a[when="__unix"]']}),
        ({}, {}),
    ],
)
def test_run_exports_take_the_form_of_cep_12(tmp_path: Path, stated: Any, normalised: Any) -> None:
    path = make_conda(tmp_path, info={"run_exports.json": json.dumps(stated).encode()})

    assert read(path, path.name).run_exports == normalised


def test_read_run_exports_that_clients_read_differently_are_a_warning(tmp_path: Path) -> None:
    path = make_conda(tmp_path, info={"run_exports.json": b'{"weak": ["demo >=2.3<2.4", "demo >=1"]}'})

    (warning,) = read(path, path.name).warnings

    assert warning.startswith("info/run_exports.json has 'demo >=2.3<2.4' in weak, but conda reads")


@pytest.mark.parametrize(
    ("index", "revision"),
    [
        ({}, 1),
        ({"depends": ["python >=3.9,<4", "numpy 1.* py_0", "conda-forge::a"]}, 1),
        ({"depends": ['a[when="__win"]']}, 3),
        ({"constrains": ["a[extras=[test]]"]}, 3),
        ({"depends": ["a[flags=[cuda]]"]}, 3),
        ({"extra_depends": {"test": ["pytest"]}}, 3),
        ({"flags": ["cuda", "blas:mkl"]}, 3),
        ({"extra_depends": {}, "flags": []}, 1),
        ({"schema_version": 2}, 1),
        ({"schema_version": 3}, 3),
        ({"repodata_revision": 3}, 3),
    ],
)
def test_revision_is_3_where_repodata_v3_is_needed(tmp_path: Path, index: dict[str, Any], revision: int) -> None:
    path = make_conda(tmp_path, index=index)

    assert read(path, path.name).revision == revision


@pytest.mark.parametrize(
    ("old", "subdir"),
    [
        ({"platform": "linux", "arch": "x86_64"}, "linux-64"),
        ({"platform": "win", "arch": "x86"}, "win-32"),
        ({"platform": "linux", "arch": "armv7l"}, "linux-armv7l"),
        ({}, "noarch"),
    ],
)
def test_parse_conda_without_subdir_derives_it(tmp_path: Path, old: dict[str, Any], subdir: str) -> None:
    path = make_conda(tmp_path, index={"subdir": None, "noarch": None, **old})

    assert read(path, path.name).index["subdir"] == subdir


def test_parse_noarch_without_subdir_is_noarch_for_every_builder(tmp_path: Path) -> None:
    path = make_tar_bz2(tmp_path, index={"subdir": None, "noarch": "python", "platform": "linux", "arch": "x86_64"})

    assert read(path, path.name).subdir == "noarch"


@pytest.mark.parametrize("version", ["1.0RC1", "5.5_27Feb25.75f", "R15B01"])
@pytest.mark.parametrize("make", MAKERS)
def test_read_version_with_capitals_taken_with_a_warning(tmp_path: Path, make: Maker, version: str) -> None:
    path = make(tmp_path, version=version)

    info = read(path, path.name)

    assert (info.version, info.index["version"]) == (version, version)
    assert info.warnings == (f"the version '{version}' has capital letters, which clients compare as small ones",)


@pytest.mark.parametrize(
    ("old", "subdir"),
    [
        ({"platform": "linux", "arch": "x86_64"}, "linux-64"),
        ({"platform": "win", "arch": "x86"}, "win-32"),
        ({"platform": "linux", "arch": "armv7l"}, "linux-armv7l"),
        ({}, "noarch"),
    ],
)
def test_old_tar_bz2_may_lack_subdir_and_paths_json(tmp_path: Path, old: dict[str, Any], subdir: str) -> None:
    info = {"paths.json": None, "about.json": None, "has_prefix": b"/opt/old text bin/a\n/opt/old binary lib/b\n"}
    info["files"] = b"share/demo.txt\n"
    path = make_tar_bz2(tmp_path, index={"subdir": None, "noarch": None, **old}, info=info)

    read_info = read(path, path.name)

    assert (read_info.subdir, read_info.index["subdir"]) == (subdir, subdir)
    assert read_info.features == ("binary_prefix", "text_prefix")


def test_a_package_of_rattler_build(tmp_path: Path) -> None:
    v3 = rattler_build.RepodataRevision.V3
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    recipe = rattler_build.Stage0Recipe.from_file(tmp_path / "recipe.yaml", repodata_revision=v3)
    (variant,) = recipe.render(None, rattler_build.RenderConfig(repodata_revision=v3))
    (path,) = variant.run_build(output_dir=tmp_path / "out").packages

    info = read(path, path.name)

    assert (info.build_number, info.revision, info.run_exports) == (3, 3, {"weak": ["demo"]})
    assert info.features == ("activate.d", "text_prefix")
    assert info.about["license"] == "MIT"


@pytest.mark.parametrize("archive_type", list(rattler_build.ArchiveType))
def test_a_package_that_rattler_build_assembles(tmp_path: Path, archive_type: Any) -> None:
    files = tmp_path / "files"
    (files / "lib" / "empty").mkdir(parents=True)
    (files / "lib" / "a").write_text("a")
    (files / "lib" / "b").symlink_to("a")
    (files / "lib" / "c").symlink_to("empty")
    output = rattler_build.assemble_package(
        "demo", "1.0", "linux-64", "0", tmp_path / "out", files_dir=files, archive_type=archive_type
    )

    assert read(Path(output.path), Path(output.path).name).subdir == "linux-64"


@pytest.mark.parametrize(
    ("file_name", "parts"),
    [
        ("demo-1.0-0.conda", ("demo", "1.0", "0", ".conda")),
        ("a-b_c.d-1!2.0_1+local.2-py3.9_0.tar.bz2", ("a-b_c.d", "1!2.0_1+local.2", "py3.9_0", ".tar.bz2")),
        ("_x-1-A+B.conda", ("_x", "1", "A+B", ".conda")),
    ],
)
def test_file_names_are_parsed(file_name: str, parts: tuple[str, ...]) -> None:
    parsed = parse_file_name(file_name)

    assert (parsed.name, parsed.version, parsed.build, parsed.extension) == parts
    assert parsed.stem + parsed.extension == file_name


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("demo-1.0-0.zip", "ends in neither .conda nor .tar.bz2"),
        ("demo-1.0-0.conda\n", "ends in neither .conda nor .tar.bz2"),
        ("demo-1.0.conda", "is not of the form name-version-build.conda"),
        ("demo-1.0-0\n.conda", "is not a build string"),
        ("demo-1.0-...conda", "'..' is not a build string"),
        ("demo-1.0-..conda", "'.' is not a build string"),
        ("demo-1.0-../x.conda", "'../x' is not a build string"),
        ("demo-1.0-.conda", "'' is not a build string"),
        (f"demo-1.0-{'b' * 65}.conda", "at most 64"),
        ("Demo-1.0-0.conda", "'Demo' is not a package name"),
        ("\u212aeys-1.0-0.conda", "'\\u212aeys' is not a package name"),
        ("demo\n-1.0-0.conda", "'demo\\n' is not a package name"),
        ("de--mo-1.0-0.conda", "'de--mo' is not a package name"),
        ("__demo-1.0-0.conda", "'__demo' is not a package name"),
        ("../demo-1.0-0.conda", "'../demo' is not a package name"),
        ("-1.0-0.conda", "'' is not a package name"),
        (f"{'n' * 65}-1.0-0.conda", "at most 64"),
        ("demo-1..0-0.conda", "'1..0' is not a version of CEP 33"),
        ("demo-1+2+3-0.conda", "'1+2+3' is not a version of CEP 33"),
        ("demo-2147483648-0.conda", "has a number above 2147483647 (CEP 33)"),
        (f"demo-{'1' * 65}-0.conda", "at most 64"),
        (f"{'n' * 300}-1.0-0.conda", "the file name has 312 characters; at most 211 are allowed"),
        ("\ud800-1.0-0.conda", "'\\ud800' is not a package name"),
        ("", "the file name '' ends in neither"),
    ],
)
def test_file_names_that_are_refused(tmp_path: Path, file_name: str, reason: str) -> None:
    with pytest.raises(BadPackage) as parsing:
        parse_file_name(file_name)
    with pytest.raises(BadPackage) as reading:
        read(make_conda(tmp_path), file_name)

    assert reason in parsing.value.reason
    assert reading.value.reason.startswith(parsing.value.reason)


@pytest.mark.parametrize("make", MAKERS)
def test_a_file_larger_than_allowed(tmp_path: Path, make: Maker) -> None:
    path = make(tmp_path)

    assert refusal(path, Limits(compressed_bytes=100)).split(";")[1] == " at most 100 B are allowed"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("make", MAKERS)
def test_read_random_bytes_is_accepted_or_refused(tmp_path: Path, make: Maker, data: st.DataObject) -> None:
    path = make(tmp_path, info={"run_exports.json": b'["demo"]', "link.json": LINK})
    path.write_bytes(data.draw(mutations(path.read_bytes())))

    assert "cannot be read" not in outcome(path), "a check should have foreseen this"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_random_tar_is_accepted_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    tar = bz2.decompress(make_tar_bz2(tmp_path, members=[symlink("a", "b")], info={"paths.json": None}).read_bytes())
    path = make_tar_bz2(tmp_path, tar=data.draw(mutations(tar)))

    assert "cannot be read" not in outcome(path), "a check should have foreseen this"


def outcome(path: Path) -> str:
    """Return the name of the package at `path`, or the reason of its refusal."""
    try:
        return read(path, path.name).name
    except BadPackage as bad:
        return bad.reason


@st.composite
def mutations(draw: st.DrawFn, original: bytes) -> bytes:
    """Return `original` with some bytes changed, some inserted, or its end cut off."""
    content = bytearray(original)
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    position = draw(st.integers(0, len(content)))
    end = bytes(content[position:]) if draw(st.booleans()) else b""
    return bytes(content[:position]) + draw(st.binary(max_size=20)) + end


PanicException = type("PanicException", (BaseException,), {})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ZeroDivisionError("x"), BadPackage),
        (PanicException("x"), BadPackage),
        (OSError("disk"), OSError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=repr,
)
def test_read_unforeseen_error_refuses_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, expected: type[BaseException]
) -> None:
    """Errors of the disk and of the process pass."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(kinds, "check", fail)
    path = make_conda(tmp_path)
    with pytest.raises(expected):
        read(path, path.name)
