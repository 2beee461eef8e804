"""info/index.json and the smaller documents: content on which clients or the index would fail is refused."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels_app import identifiers
from publishing.archive.reader import Limits, read
from tests.archives import index_json, make_conda, make_tar_bz2, refusal

Maker = Callable[..., Path]

HOUR_MS = 3_600_000
INDEX = json.dumps(index_json()).encode()


def link_json(*entry_points: object, **keys: object) -> bytes:
    noarch = {"type": "python", "entry_points": list(entry_points)}
    return json.dumps({"noarch": noarch, "package_metadata_version": 1, **keys}).encode()


def with_key(text: bytes) -> bytes:
    """Return a valid index.json with one more key and value, written as `text`."""
    return INDEX[:-1] + b", " + text + b"}"


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"name": "other"}, "has the name 'other', but the file name has 'demo'"),
        ({"name": "Demo"}, "has the name 'Demo', but the file name"),
        ({"version": "1.00"}, "has the version '1.00', but the file name"),
        ({"build": "1"}, "has the build '1', but the file name"),
        ({"name": None}, "has the name missing; expected a string"),
        ({"version": 1.0}, "has the version 1.0; expected a string"),
        ({"build": ["0"]}, "has the build ['0']; expected a string"),
        ({"subdir": 64}, "has the subdir 64; expected a string"),
        ({"subdir": "../linux-64"}, "'../linux-64' is not a subdir"),
        ({"subdir": "linux-64\n"}, "'linux-64\\n' is not a subdir"),
        ({"subdir": f"linux-{'6' * 64}"}, "is not a subdir"),
        ({"build_number": None}, "has the build_number missing; expected an integer from 0 on"),
        ({"build_number": True}, "has the build_number True"),
        ({"build_number": "0"}, "has the build_number '0'"),
        ({"build_number": -1}, "has the build_number -1"),
        ({"build_number": 0.0}, "has the build_number 0.0"),
        ({"noarch": "java"}, "has the noarch 'java'; expected 'generic' or 'python'"),
        ({"noarch": "Python"}, "has the noarch 'Python'"),
        ({"noarch": True, "subdir": "linux-64"}, "has noarch, but the subdir 'linux-64'"),
        ({"platform": "nope"}, "has the platform 'nope'; conda knows linux, osx, win,"),
        ({"platform": ""}, "has the platform ''; conda knows"),
        ({"package_type": "app"}, "has the package_type 'app'; conda knows noarch_generic, noarch_python and null"),
        ({"date": ["2020"]}, "has a list as date; expected a string"),
        ({"preferred_env": {}}, "has an object as preferred_env; expected a string"),
        ({"noarch": "python", "subdir": "linux-64"}, "has noarch, but the subdir 'linux-64'"),
        ({"timestamp": "1700000000000"}, "has the timestamp '1700000000000'"),
        ({"timestamp": 1.7e12}, "has the timestamp 1700000000000.0"),
        ({"timestamp": -1}, "has the timestamp -1"),
        ({"timestamp": int(time.time() * 1000) + HOUR_MS}, "which lies in the future"),
        ({"depends": "python"}, "has a string as depends; expected a list of strings"),
        ({"depends": [1]}, "has a list as depends; expected a list of strings"),
        ({"depends": {}}, "has an object as depends"),
        ({"constrains": ["a", None]}, "has a list as constrains"),
        ({"depends": [""]}, "has '' in depends, but rattler does not read it"),
        ({"depends": ["python >="]}, "has 'python >=' in depends, but rattler does not read it"),
        ({"constrains": ["*"]}, "has '*' in constrains, but rattler does not read it"),
        ({"depends": ['a[when="((("]']}, "in depends, but rattler does not read it"),
        ({"depends": ["a"] * 2001}, "has 2001 entries in depends and constrains; at most 2000 are allowed"),
        ({"depends": ["a"] * 1001, "constrains": ["a"] * 1000}, "has 2001 entries"),
        ({"depends": [f"a {'1' * 1024}"]}, "has an entry of 1026 characters in depends; at most 1024"),
        ({"extra_depends": ["a"]}, "has a list as extra_depends; expected an object"),
        ({"extra_depends": {"Test": ["a"]}}, "has the group 'Test' in extra_depends, no name of CEP 44"),
        ({"extra_depends": {"test": ["a >="]}}, "has 'a >=' in extra_depends.test, but rattler does not read it"),
        ({"flags": ["Cuda"]}, "has the flag 'Cuda'; expected the like of"),
        ({"flags": "cuda"}, "has a string as flags; expected a list of strings"),
        ({"schema_version": 4}, "has the schema_version 4; known are those up to 3"),
        ({"schema_version": True}, "has the schema_version True"),
        ({"repodata_revision": 4}, "has the repodata_revision 4; known are 0 and 3"),
        ({"repodata_revision": [3]}, "has the repodata_revision [3]; known are 0 and 3"),
        ({"repodata_revision": 0, "flags": ["cuda"]}, "has the repodata_revision 0, but uses what needs revision 3"),
        ({"python_site_packages_path": "/lib"}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "lib/../../x"}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "C:\\lib"}, "expected a relative path without '..'"),
        ({"python_site_packages_path": 1}, "expected a relative path without '..'"),
        ({"python_site_packages_path": ""}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "."}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "lib/.. /x"}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "conda-meta"}, "expected a relative path without '..'"),
        ({"python_site_packages_path": "Conda-Meta./x"}, "expected a relative path without '..'"),
        ({"license": ["MIT"]}, "is not as rattler reads it"),
        ({"track_features": 1}, "is not as rattler reads it"),
        ({"arch": 64}, "is not as rattler reads it"),
        ({"purls": ["no purl"]}, "is not as rattler reads it"),
    ],
)
def test_index_json_that_is_refused(tmp_path: Path, make: Maker, index: dict[str, Any], reason: str) -> None:
    assert reason in refusal(make(tmp_path, index=index))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the archive has no info/index.json"),
        (b"", "info/index.json is empty"),
        (b" \n", "info/index.json is empty"),
        (b"[]", "info/index.json holds a list; expected an object"),
        (b"null", "info/index.json holds null; expected an object"),
        (INDEX + b"{}", "Extra data"),
        (INDEX.decode().encode("utf-16"), "is not UTF-8"),
        (b"\xef\xbb\xbf" + INDEX, "info/index.json begins with a byte order mark"),
        (with_key(b'"x": NaN'), "NaN is no value of JSON"),
        (with_key(b'"x": -Infinity'), "-Infinity is no value of JSON"),
        (with_key(b'"x": 1e999'), "the number '1e999' is too large"),
        (with_key(b'"x": 9223372036854775808'), "does not fit into 64 bits"),
        (with_key(b'"x": ' + b"9" * 10_000), "does not fit into 64 bits"),
        (with_key(b'"name": "demo"'), "the key 'name' stands twice in one object"),
        (with_key(b'"x": {"a": 1, "a": 2}'), "the key 'a' stands twice in one object"),
        (with_key(b'"x": "\\ud800"'), "'\\ud800' holds a lone surrogate"),
        (with_key(b'"\\udfff": 1'), "holds a lone surrogate"),
        (with_key(b'"x": "a\\u0000"'), "'a\\x00' holds a NUL"),
        (with_key(b'"x": "a\nb"'), "Invalid control character"),
        (with_key(b'"x": "\xff"'), "is not UTF-8"),
        (with_key(b'"x": ' + b"[" * 64 + b"]" * 64), "nested deeper than the 64 levels allowed"),
        (with_key(b'"x": ' + b"[" * 50_000 + b"]" * 50_000), "nested deeper than the 64 levels allowed"),
        (with_key(b'"x": "' + b"a" * 128 * 1024 + b'"'), "at most 128 KiB are allowed"),
    ],
)
def test_read_bad_json_is_refused(tmp_path: Path, content: bytes | None, reason: str) -> None:
    assert reason in refusal(make_conda(tmp_path, info={"index.json": content}))


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ({"platform": "linux"}, "has neither a subdir nor both a platform and an arch"),
        ({"platform": "linux", "arch": 64}, "has neither a subdir nor both a platform and an arch"),
        ({"platform": "Linux", "arch": "x86_64"}, "'Linux-64' is not a subdir"),
    ],
)
@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
def test_subdirs_that_cannot_be_derived(tmp_path: Path, make: Maker, index: dict[str, Any], reason: str) -> None:
    assert reason in refusal(make(tmp_path, index={"subdir": None, "noarch": None, **index}))


@pytest.mark.parametrize("key", ["features", "track_features"])
def test_parse_null_that_conda_cannot_read_refused(tmp_path: Path, key: str) -> None:
    content = with_key(f'"{key}": null'.encode())

    assert f"has null as {key}, which conda cannot read" in refusal(make_conda(tmp_path, info={"index.json": content}))


@pytest.mark.parametrize(
    "text",
    [
        b'"license": null, "license_family": null, "platform": null, "arch": null',
        b'"license": "", "arch": "", "features": "", "track_features": ""',
        b'"platform": "linux", "arch": "x86_64", "date": "2015-01-01", "package_type": null, "requires": []',
        b'"legacy_bz2_md5": "", "url": 1, "fn": [], "channel": null',
    ],
)
def test_parse_legacy_values_that_clients_read_alike_taken(tmp_path: Path, text: bytes) -> None:
    path = make_conda(tmp_path, info={"index.json": with_key(text)})

    assert read(path, path.name).warnings == ()


@pytest.mark.parametrize("timestamp", [b"null", b"0", b"1500000000", b"1500000000000"])
def test_parse_timestamp_that_clients_read_alike_taken(tmp_path: Path, timestamp: bytes) -> None:
    index = {key: value for key, value in index_json().items() if key != "timestamp"}
    content = json.dumps(index).encode()[:-1] + b', "timestamp": ' + timestamp + b"}"
    path = make_conda(tmp_path, info={"index.json": content})

    assert read(path, path.name).index["timestamp"] == json.loads(timestamp)


@pytest.mark.parametrize(("noarch", "read_as"), [(True, "generic"), (False, None), ("", None)])
def test_parse_old_values_of_noarch_read_as_clients_do(tmp_path: Path, noarch: object, read_as: str | None) -> None:
    path = make_conda(tmp_path, index={"noarch": noarch})

    assert read(path, path.name).index.get("noarch") == read_as


@pytest.mark.parametrize("noarch", [0, 1, 0.0, [], {}])
def test_parse_noarch_that_only_resembles_an_old_value_refused(tmp_path: Path, noarch: object) -> None:
    assert "has the noarch" in refusal(make_conda(tmp_path, index={"noarch": noarch}))


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize("seconds", [False, True])
def test_parse_timestamp_in_the_future_refused_in_both_units(tmp_path: Path, make: Maker, seconds: bool) -> None:
    tomorrow = int(time.time()) + 86_400

    path = make(tmp_path, index={"timestamp": tomorrow if seconds else tomorrow * 1000})

    assert "which lies in the future" in refusal(path)


@pytest.mark.parametrize("make", [make_conda, make_tar_bz2])
@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"link.json": b"[]"}, "info/link.json holds a list; expected an object"),
        ({"link.json": link_json(noarch="python")}, "info/link.json has the noarch 'python'"),
        ({"link.json": link_json(noarch=None)}, "info/link.json has the noarch None"),
        ({"link.json": link_json(noarch={})}, "info/link.json has the noarch {}"),
        ({"link.json": link_json(noarch={"type": "ruby"})}, "info/link.json has the noarch {'type': 'ruby'}"),
        ({"link.json": link_json(package_metadata_version=2)}, "has the package_metadata_version 2; expected 1"),
        ({"link.json": link_json(package_metadata_version=True)}, "has the package_metadata_version True"),
        ({"link.json": b'{"noarch": {"type": "generic"}}'}, "has the package_metadata_version None"),
        (
            {"link.json": link_json(preferred_env={"name": "x"})},
            "info/link.json has a preferred_env, which conda fails",
        ),
        ({"link.json": link_json(preferred_env="x")}, "info/link.json has a preferred_env"),
        ({"link.json": link_json(preferred_env={})}, "info/link.json has a preferred_env"),
        ({"link.json": link_json("a = b:c")}, "has the type python, but index.json has the noarch 'generic'"),
        ({"package_metadata.json": b"{}"}, "info/package_metadata.json has the package_metadata_version None"),
        ({"run_exports.json": b'"demo"'}, "info/run_exports.json holds a string; expected an object"),
        ({"run_exports.json": b'{"weak": 1}'}, "has a number as weak; expected a list of strings"),
        ({"run_exports.json": b'{"strong": [1]}'}, "has a list as strong; expected a list of strings"),
        ({"run_exports.json": json.dumps(["a"] * 2001).encode()}, "too much in weak: at most 2000 entries"),
    ],
)
def test_read_bad_document_is_refused(tmp_path: Path, make: Maker, info: dict[str, bytes], reason: str) -> None:
    assert reason in refusal(make(tmp_path, info=info))


@pytest.mark.parametrize("entry_point", ["demo = demo.cli:main", "2to3-3.9=lib2to3.main:main", "py.test = a.b:C.run"])
def test_read_valid_entry_point_is_accepted(tmp_path: Path, entry_point: str) -> None:
    path = make_conda(tmp_path, index={"noarch": "python"}, info={"link.json": link_json(entry_point)})

    assert read(path, path.name).name == "demo"


@pytest.mark.parametrize(
    "entry_point",
    [
        "../demo = demo:main",
        "/bin/sh = demo:main",
        "a\\b = demo:main",
        ".demo = demo:main",
        "demo = demo:main\n",
        "demo = demo:main()",
        "demo = demo; import os:main",
        "demo = demo",
        "demo",
        " = demo:main",
        7,
    ],
)
def test_entry_points_that_are_refused(tmp_path: Path, entry_point: object) -> None:
    path = make_conda(tmp_path, index={"noarch": "python"}, info={"link.json": link_json(entry_point)})
    reason = refusal(path)

    assert reason == f"info/link.json has the entry point {entry_point!a}; expected 'command = module:function'"


@pytest.mark.parametrize("content", [b"[]", b"{", b"", b'{"x": NaN}', b'{"summary": "Andr\xe9"}', b'{"x": "\\u0000"}'])
def test_about_json_that_cannot_be_read_warned_of(tmp_path: Path, content: bytes) -> None:
    path = make_conda(tmp_path, info={"about.json": content})

    info = read(path, path.name)

    assert info.about == {}
    assert len(info.warnings) == 1


@pytest.mark.parametrize("content", [b"null", b'{"weak": null, "strong": ["a"]}'])
def test_run_exports_of_null_read_as_none(tmp_path: Path, content: bytes) -> None:
    path = make_conda(tmp_path, info={"run_exports.json": content})

    assert "weak" not in read(path, path.name).run_exports


def test_a_timestamp_may_be_a_little_ahead(tmp_path: Path) -> None:
    path = make_conda(tmp_path, index={"timestamp": int(time.time() * 1000) + HOUR_MS // 12})

    assert read(path, path.name).name == "demo"
    assert "which lies in the future" in refusal(path, Limits(clock_ahead_seconds=10))


CEP_26_NAME = re.compile(r"(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|\Z))*\Z")


@settings(deadline=None)
@given(st.text(alphabet="ab0_.-", max_size=8).filter(identifiers.PACKAGE_NAME.match))
def test_package_names_match_the_regex_of_cep_26_too(name: str) -> None:
    assert CEP_26_NAME.match(name)


def test_entry_point_whose_script_has_a_name_too_long_for_a_file_system_refused(tmp_path: Path) -> None:
    """On Windows a script is called `NAME-script.py`."""
    longest = make_conda(tmp_path, index={"noarch": "python"}, info={"link.json": link_json(f"{'d' * 245} = a:b")})
    assert read(longest, longest.name).name == "demo"

    for length in (246, 256, 10_000):
        info = {"link.json": link_json(f"{'d' * length} = a:b")}
        assert "has the entry point 'ddd" in refusal(make_conda(tmp_path, index={"noarch": "python"}, info=info))
