"""publishing.archive.kinds: the error for a file that is no package names its kind and the remedy."""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from publishing.archive import kinds
from publishing.archive.reader import BadPackage, Limits, parse_file_name, read
from tests.archives import index_json, make_conda, make_tar_bz2, paths_entry, refusal, tar_member

CLIENT_SHOWS_CHARACTERS = 512
S3_ERROR = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message>'
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return content.getvalue()


def tarred(name: str = "demo/setup.py") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return content.getvalue()


@pytest.mark.parametrize("file_name", ["demo-1.0-0.conda", "demo-1.0-0.tar.bz2"])
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "an HTML page, likely a sign-in or error page"),
        (b"\n <html lang=en>", "an HTML page"),
        (b"\xef\xbb\xbf<!-- x --><HTML>", "an HTML page"),
        (S3_ERROR, "the error message of an object store, as XML; it begins with"),
        (b"<?xml version='1.0'?><rss>", "an XML document"),
        (LFS_POINTER, "a Git LFS pointer; run `git lfs pull`"),
        (b"../../.git/annex/objects/x/SHA256E-s1--a.conda", "a git-annex pointer"),
        (b'{"message": "Not Found"}', 'a JSON text; it begins with \'{"message": "Not Found"}\''),
        (b"404: Not Found\n", "a text; it begins with '404: Not Found'"),
        (b"#!/bin/sh\n# installer", "a script"),
        (b"-----BEGIN PGP SIGNATURE-----\n", "a key, certificate or signature"),
        (gzip.compress(tarred()), "compressed by gzip"),
        (lzma.compress(tarred()), "compressed by xz"),
        (zstandard.compress(tarred()), "compressed by zstd (.tar.zst), without the ZIP around it"),
        (tarred(), "a tar without compression"),
        (zipped("demo/__init__.py", "demo-1.0.dist-info/WHEEL"), "a Python wheel"),
        (zipped("EGG-INFO/PKG-INFO"), "a Python egg"),
        (zipped("META-INF/MANIFEST.MF"), "a Java archive"),
        (zipped("demo-1.0-0.conda"), "a ZIP around a package; upload what is in it"),
        (zipped("a/demo-1.0-0.tar.bz2", "b"), "a ZIP around a package"),
        (zipped(), "an empty ZIP"),
        (b"\xed\xab\xee\xdb\x03\x00", "an RPM package"),
        (b"!<arch>\ndebian-binary   1", "a Debian package"),
        (b"7z\xbc\xaf\x27\x1c\x00", "a 7-Zip archive"),
        (b"\x7fELF\x02\x01", "a program or library of Linux"),
        (b"MZ\x90\x00", "a program of Windows"),
        (bytes(1000), "nothing but zero bytes"),
        (b"\x01\x02\x03\x04", "something that begins with '\\x01\\x02\\x03\\x04'"),
        (zipped("a", "b")[:-30], "a ZIP without its end, cut off after"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_read_file_of_another_kind_names_the_kind(tmp_path: Path, file_name: str, content: bytes, what: str) -> None:
    path = tmp_path / file_name
    path.write_bytes(content)

    reason = refusal(path)

    assert what in reason
    assert len(f"{file_name} was refused: {reason}") <= CLIENT_SHOWS_CHARACTERS


def test_read_package_under_the_other_extension_says_which_it_has(tmp_path: Path) -> None:
    conda, tar_bz2 = make_conda(tmp_path), make_tar_bz2(tmp_path)

    with pytest.raises(BadPackage, match=r"no \.tar\.bz2 package: it is a ZIP; if it is a \.conda package, upload it"):
        read(conda, "demo-1.0-0.tar.bz2")
    with pytest.raises(BadPackage, match=r"no \.conda package: it is compressed by bz2; if it is a \.tar\.bz2 package"):
        read(tar_bz2, "demo-1.0-0.conda")


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_read_truncated_package_says_to_send_it_again(tmp_path: Path, make: Callable[..., Path], kept: float) -> None:
    path = make(tmp_path, files={"share/demo.txt": bytes(range(256)) * 400})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])

    reason = refusal(path)

    assert "again" in reason, reason


def test_check_zip_of_another_kind_differs_from_conda_file_with_its_paths(tmp_path: Path) -> None:
    paths = ("demo-1.0.dist-info/WHEEL", "META-INF/MANIFEST.MF", "x.conda", "EGG-INFO/PKG-INFO")

    path = make_conda(tmp_path, files=dict.fromkeys(paths, b""), compress=stored)

    assert read(path, path.name).name == "demo"


def stored(content: bytes) -> bytes:
    """Return an uncompressed zstd frame, in which the content is visible."""
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    assert len(content) < 128 * 1024
    return b"\x28\xb5\x2f\xfd\xa0" + len(content).to_bytes(4, "little") + block + content


@pytest.mark.parametrize(
    ("file_name", "what"),
    [
        ("demo-1.0-0 (1).conda", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0(2).conda", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0.tar (1).bz2", "rename it to 'demo-1.0-0.tar.bz2'"),
        ("demo-1.0-0 (1).tar.bz2", "rename it to 'demo-1.0-0.tar.bz2'"),
        ("demo-1.0-0 - Copy.conda", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0 - Copy (2).conda", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0 copy.conda", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0.conda.1", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0.CONDA", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0.conda?token=x", "rename it to 'demo-1.0-0.conda'"),
        ("demo-1.0-0.conda.part", "an unfinished download"),
        ("demo-1.0-0.conda.crdownload", "an unfinished download"),
        ("demo-1.0-0.tar.bz2.partial", "an unfinished download"),
        ("demo-1.0-py3-none-any.whl", "a Python wheel"),
        ("demo-1.0-0.tar.gz", "a source archive"),
        ("demo-1.0-0.tar.zst", "one part of a .conda file"),
        ("demo-1.0-0.tar", "a tar without compression"),
        ("demo-1.0.rpm", "an RPM package"),
        ("demo-1.0-0.conda.zip", "a ZIP"),
    ],
)
def test_parse_file_name_of_another_program_names_the_program(file_name: str, what: str) -> None:
    with pytest.raises(BadPackage) as refused:
        parse_file_name(file_name)

    assert what in refused.value.reason


MANY = {f"share/{number}": b"" for number in range(9)}


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize(
    ("limits", "variant"),
    [
        ({"info_members": 1}, {}),
        ({"pkg_members": 3}, {"files": MANY}),
        ({"path_bytes": 30}, {"files": {"share/" + "d" * 50: b""}}),
        ({"segment_bytes": 30}, {"files": {"share/" + "d" * 50: b""}}),
        ({"all_paths_bytes": 40}, {"files": MANY}),
        ({"index_json_bytes": 50}, {}),
        ({"about_json_bytes": 5}, {"info": {"about.json": b'{"a": 1}'}}),
        ({"link_json_bytes": 5}, {"info": {"link.json": b'{"a": 1}'}}),
        ({"run_exports_json_bytes": 5}, {"info": {"run_exports.json": b'{"weak": []}'}}),
        ({"paths_json_bytes": 5}, {}),
        ({"has_prefix_bytes": 5}, {"info": {"has_prefix": b"/opt/old text a"}}),
        ({"json_depth": 3}, {"index": {"x": [[[[]]]]}}),
        ({"json_depth": 3}, {"members": [tar_member("a")], "listed": [paths_entry("a", x=[[[[]]]])]}),
        ({"specs": 1}, {"depends": ["a", "b"]}),
        ({"spec_characters": 5}, {"depends": ["a >=1.0"]}),
        ({"specs": 1}, {"info": {"run_exports.json": b'["a", "b"]'}}),
        ({"pkg_bytes": 1500}, {}),
        ({"pkg_seconds": -1}, {}),
        ({"ratio": 2, "ratio_free_bytes": 100}, {"files": {"share/zeros": bytes(100_000)}}),
        ({"clock_ahead_seconds": -(10**9)}, {"index": {"timestamp": 1_700_000_000_000}}),
    ],
)
def test_read_beyond_a_limit_names_the_field_that_raises_it(
    tmp_path: Path, make: Callable[..., Path], limits: Mapping[str, Any], variant: Mapping[str, Any]
) -> None:
    reason = refusal(make(tmp_path, **variant), Limits(**limits))

    assert next(iter(limits)) in reason
    assert "HUB_PACKAGE_LIMITS" in reason


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize("name", ["index.json", "run_exports.json"])
def test_read_documents_of_an_index_up_to_128_kib(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    def padded(size_bytes: int) -> Path:
        document = json.dumps(index_json()) if name == "index.json" else '{"weak": ["a"]}'
        return make(tmp_path, info={name: document.encode().ljust(size_bytes)})

    path = padded(128 * 1024)
    assert read(path, path.name).name == "demo"
    assert refusal(padded(130 * 1024)) == (
        f"info/{name} has 133,120 bytes; at most 128 KiB are allowed; "
        f"an administrator can raise {name.replace('.', '_')}_bytes in HUB_PACKAGE_LIMITS"
    )


@pytest.mark.parametrize(
    "limits", [{"info_bytes": 100}, {"info_seconds": -1}, {"metadata_json_bytes": 5}, {"window_bytes": 1}]
)
def test_read_conda_beyond_a_limit_names_the_field_that_raises_it(tmp_path: Path, limits: Mapping[str, Any]) -> None:
    reason = refusal(make_conda(tmp_path), Limits(**limits))

    assert next(iter(limits)) in reason
    assert "HUB_PACKAGE_LIMITS" in reason


def test_read_file_beyond_the_upload_limit_names_both_that_raise_it(tmp_path: Path) -> None:
    reason = refusal(make_conda(tmp_path), Limits(compressed_bytes=10))

    assert "the channel's limit" in reason
    assert "HUB_MAX_UPLOAD_BYTES" in reason


def test_limits_documented_field_by_field() -> None:
    documented = (Path(__file__).parents[2] / "docs" / "package-checks.md").read_text()

    assert [field.name for field in fields(Limits) if f"`{field.name}`" not in documented] == ["compressed_bytes"]


def test_name_problem_of_a_good_name_is_none() -> None:
    assert kinds.name_problem("demo-1.0-0.conda") == kinds.name_problem("a-b_c-1!2_1+x-py_0.tar.bz2") == ""


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize("other", [{"version": "0.9"}, {"name": "sample"}, {"build": "py_1"}])
def test_read_renamed_package_says_which_name_it_has(
    tmp_path: Path, make: Callable[..., Path], other: Mapping[str, str]
) -> None:
    built = make(tmp_path, **other)
    renamed = built.rename(tmp_path / f"demo-1.0-0{''.join(built.suffixes[-1 if make is make_conda else -2 :])}")

    reason = refusal(renamed)

    assert "renamed" in reason
    assert f"rename it to '{built.name}'" in reason


@pytest.mark.parametrize("other", [{"version": "1.0-1"}, {"build": "py-0"}])
def test_version_or_build_with_a_dash_gets_no_name_to_upload_it_as(tmp_path: Path, other: dict[str, Any]) -> None:
    reason = refusal(make_tar_bz2(tmp_path, **other))

    assert "no '-'; build the package again" in reason


@pytest.mark.parametrize("entry_name", ["info-demo-1.1-0.tar.zst", "info-.tar.zst", "info-demo.tar.zst"])
def test_read_entries_of_no_single_package_name_no_other_file_name(tmp_path: Path, entry_name: str) -> None:
    path = make_conda(tmp_path, entries=lambda entries: [*entries[:2], replace(entries[2], name=entry_name)])

    assert "rename it to" not in refusal(path)


@pytest.mark.parametrize("file_name", ["x.conda", "Demo-1.0-0.conda", "demo.conda", "demo-1.0-b@d.conda", "demo"])
def test_read_package_under_no_package_name_says_which_name_it_has(tmp_path: Path, file_name: str) -> None:
    path = make_conda(tmp_path, file_name=file_name)

    assert "rename it to 'demo-1.0-0.conda'" in refusal(path)


@pytest.mark.parametrize("file_name", ["x.conda", "x.tar.bz2", "Demo-1.0-0.conda", "x", "x (1).conda", "y" * 300])
@pytest.mark.parametrize(
    ("content", "what"), [(b"<html>", "an HTML page"), (b"", "the file is empty"), (b"%PDF-1.7", "a PDF")]
)
def test_read_other_kind_under_no_package_name_says_both(
    tmp_path: Path, file_name: str, content: bytes, what: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    with pytest.raises(BadPackage) as caught:
        read(path, file_name)

    assert what in caught.value.reason
    assert "name" in caught.value.reason
    assert len(f"{file_name[:80]} was refused: {caught.value.reason}") <= CLIENT_SHOWS_CHARACTERS
