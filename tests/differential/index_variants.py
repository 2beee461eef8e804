"""Variants of info/index.json: types, values of older tools, keys that must equal the file name, and JSON syntax."""

import json
from typing import Any

from tests.differential.shapes import INDEX, SUBDIR, Shape

Named = dict[str, Shape]


def index(**keys: Any) -> Shape:
    """Return the good package with these keys of index.json. A value of `...` removes a key."""
    merged = {**INDEX, **keys}
    return Shape(index={key: value for key, value in merged.items() if value is not ...})


def noarch(**keys: Any) -> Shape:
    shape = index(**{"subdir": "noarch", "arch": None, "platform": None, **keys})
    return Shape(index=shape.index, subdir="noarch")


def raw(content: bytes) -> Shape:
    return Shape(index=content)


def raw_key(text: bytes) -> Shape:
    """Return the good package with one more key of index.json, given as JSON text."""
    return raw(json.dumps(INDEX).encode()[:-1] + b", " + text + b"}")


def values(key: str, found: dict[str, Any]) -> Named:
    return {f"{key} {name}": index(**{key: value}) for name, value in found.items()}


MISSING = {"missing": ..., "null": None}
NO_STRING = {"a number": 1, "a list": ["x"], "true": True}

INDEX_TYPES: Named = (
    values("name", MISSING | NO_STRING | {"of another package": "other", "in capitals": "Demo"})
    | values("version", MISSING | NO_STRING | {"another": "1.1", "the same number": "1.0.0", "a float": 1.0})
    | values("build", MISSING | NO_STRING | {"another": "1", "a number": 0, "empty": ""})
    | values(
        "build_number",
        MISSING
        | {"a string": "0", "0.0": 0.0, "1.5": 1.5, "-1": -1, "true": True, "7": 7, "2^31": 2**31, "2^53": 2**53}
        | {"2^63": 2**63, "2^64": 2**64, "empty": ""},
    )
    | values("subdir", MISSING | NO_STRING | {"of another platform": "osx-64", "noarch": "noarch", "empty": ""})
    | values("arch", MISSING | {"a number": 64, "empty": "", "another": "armv7l", "a list": []})
    | values("platform", MISSING | {"a number": 64, "empty": "", "another": "osx", "the subdir": SUBDIR})
    | values(
        "depends",
        MISSING
        | {"a string": "x", "an object": {}, "a list with null": [None], "a list of numbers": [1]}
        | {"an empty string": [""], "a list in a list": [["x"]], "false": False},
    )
    | values("constrains", MISSING | {"a string": "x", "an object": {}, "a list with null": [None], "empty": []})
    | values("license", MISSING | NO_STRING | {"an object": {}, "empty": "", "no SPDX": "see LICENSE"})
    | values("license_family", {"null": None, "a list": ["MIT"], "empty": "", "a string": "MIT"})
    | values(
        "timestamp",
        MISSING
        | {"in seconds": 1_700_000_000, "a float of milliseconds": 1_700_000_000_000.0, "a string": "2024-01-01"}
        | {"a float of seconds": 1_700_000_000.5, "digits in a string": "1700000000000", "0": 0, "-1": -1}
        | {"in microseconds": 1_700_000_000_000_000, "of 2100": 4_102_444_800_000, "true": True},
    )
    | values("features", {"null": None, "empty": "", "a string": "mkl", "a list": ["mkl"], "an object": {}})
    | values("track_features", {"null": None, "empty": "", "a string": "mkl", "a list": ["mkl"], "an object": {}})
    | values("purls", {"null": None, "a list": ["pkg:pypi/demo"], "a string": "pkg:pypi/demo", "no purl": ["demo"]})
    | values(
        "python_site_packages_path", {"null": None, "lib/python3.12/site-packages": "lib/python3.12/site-packages"}
    )
    | values("python_site_packages_path", {"with ..": "../x", "absolute": "/x", "a number": 1})
    | values("preferred_env", {"null": None, "a string": "_demo_"})
    | values("legacy_bz2_md5", {"null": None, "of 32 digits": "0" * 32, "no digest": "x", "empty": ""})
    | values("md5", {"of other bytes": "0" * 32, "no digest": "x", "null": None})
    | values("sha256", {"of other bytes": "0" * 64, "no digest": "x"})
    | values("size", {"of other bytes": 1, "a string": "1", "null": None})
    | values("fn", {"another": "other-1-0.conda", "null": None})
    | values("url", {"another": "http://127.0.0.1:9/x.conda", "null": None})
    | values("channel", {"another": "http://127.0.0.1:9/x", "a number": 1})
    | values("schannel", {"another": "other"})
    | values("app_entry", {"a string": "demo"})
    | values("type", {"app": "app"})
    | values("date", {"a string": "2013-01-01", "a number": 2013})
    | values("requires", {"a list": ["x"]})
    | values("record_version", {"2": 2, "a string": "2"})
    | values("self", {"a string": "x"})
    | values("cls", {"null": None})
    | values("signatures", {"an object": {"x": {"y": 1}}})
    | values("defaulted_keys", {"a number": 1})
    | values("run_exports", {"a string": "x", "an object": {"weak": ["x"]}})
    | values("schema_version", {"1": 1, "2": 2, "null": None, "99": 99, "a string": "1"})
    | values("unknown key", {"null": None, "nested": {"x": [1, 2.5, {"y": None}]}})
)

NOARCH: Named = {
    "generic": noarch(noarch="generic"),
    "python": noarch(noarch="python"),
    "missing": noarch(),
    "null": noarch(noarch=None),
    "true": noarch(noarch=True),
    "false": noarch(noarch=False),
    "empty": noarch(noarch=""),
    "none": noarch(noarch="none"),
    "unknown": noarch(noarch="ruby"),
    "a list": noarch(noarch=["generic"]),
    "generic, with arch and platform": noarch(noarch="generic", arch="x86_64", platform="linux"),
    "generic in linux-64": index(noarch="generic"),
    "python in linux-64": index(noarch="python"),
    "false in linux-64": index(noarch=False),
    "null in linux-64": index(noarch=None),
}

INDEX_JSON: Named = {
    "missing": Shape(index=None),
    "empty": raw(b""),
    "null": raw(b"null"),
    "a list": raw(b"[]"),
    "no JSON": raw(b"name: demo"),
    "indented": raw(json.dumps(INDEX, indent=2).encode()),
    "line ends of Windows": raw(json.dumps(INDEX, indent=2).replace("\n", "\r\n").encode()),
    "byte order mark": raw(b"\xef\xbb\xbf" + json.dumps(INDEX).encode()),
    "UTF-16": raw(json.dumps(INDEX).encode("utf-16")),
    "Latin-1": raw_key(b'"author": "Andr\xe9"'),
    "UTF-8": raw_key('"author": "André"'.encode()),
    "escapes": raw_key(b'"author": "Andr\\u00e9 \\ud83d\\ude00"'),
    "a lone surrogate": raw_key(b'"author": "\\ud800"'),
    "NUL": raw_key(b'"author": "a\\u0000"'),
    "a raw control character": raw_key(b'"author": "a\tb"'),
    "NaN": raw_key(b'"x": NaN'),
    "Infinity": raw_key(b'"x": -Infinity'),
    "1e400": raw_key(b'"x": 1e400'),
    "1.5": raw_key(b'"x": 1.5'),
    "2^64": raw_key(b'"x": 18446744073709551616'),
    "2^63": raw_key(b'"x": 9223372036854775808'),
    "an unknown key twice": raw_key(b'"x": 1, "x": 2'),
    "name twice, the same": raw_key(b'"name": "demo"'),
    "name twice, another": raw_key(b'"name": "other"'),
    "depends twice": raw_key(b'"depends": ["x"]'),
    "a comma at the end": raw(json.dumps(INDEX).encode()[:-1] + b",}"),
    "a comment": raw(b"// made by hand\n" + json.dumps(INDEX).encode()),
    "more after the end": raw(json.dumps(INDEX).encode() + b"{}"),
    "spaces around": raw(b"\n\n " + json.dumps(INDEX).encode() + b" \n\n"),
    "nested 100 deep": raw_key(b'"x": ' + b"[" * 100 + b"]" * 100),
    "nested 5,000 deep": raw_key(b'"x": ' + b"[" * 5000 + b"]" * 5000),
}

SPECS: Named = {
    repr(spec): index(depends=[spec])
    for spec in (
        "x",
        "x 1.0",
        "x 1.0 0",
        "x >=1.0,<2",
        "x >=1.0|<2",
        "x=1.0",
        "x==1.0",
        "x 1.*",
        "x ~=1.0",
        "x !=1.0",
        "x >= 1.0",
        "X",
        "conda-forge::x",
        "x[version='>=1']",
        "x >=1.0 ",
        "x  >=1.0",
        "x @ https://example.org/x-1-0.conda",
        "x # a comment",
        "x if win",
        "x;1",
        "x >=1.0,",
        "x (>=1)",
        "x >=1.0 0 extra words",
        "==1.0",
        ">=1.0",
        "*",
        "x y>=1",
        "x 1..0",
        "x ^1.0$",
        "__unix",
        "x[build=",
    )
}

LAYERS = {"index.json: keys": INDEX_TYPES, "noarch": NOARCH, "index.json": INDEX_JSON, "depends": SPECS}
