"""Variants of the documents below info/ besides index.json, and of paths.json in relation to the archive."""

import json
from collections.abc import Sequence
from typing import Any

from tests.archives import gnu_long_name, paths_entry, tar_member
from tests.differential.link_variants import LINK
from tests.differential.shapes import LISTED, MEMBERS, PLACEHOLDER, STEM, TEXT, Shape
from tests.differential.tar_variants import A_LISTED, DIRECTORY, A, with_members

Named = dict[str, Shape]
PATHS = {"paths": list(LISTED), "paths_version": 1}


def entry(**keys: Any) -> Shape:
    """Return a package with a file `a` and these keys in its entry of paths.json. A value of `...` removes a key."""
    merged = {**A_LISTED, **keys}
    return with_members(A, listed=[{key: value for key, value in merged.items() if value is not ...}])


def paths(document: Any, *members: bytes) -> Shape:
    return Shape(paths=document, members=[*MEMBERS, *members])


def named(key: str, found: dict[str, Any]) -> Named:
    return {f"{key} {name}": entry(**{key: value}) for name, value in found.items()}


def with_info(name: str, content: Any, **changes: Any) -> Shape:
    return Shape(info={"about.json": {"license": "MIT"}, name: content}, **changes)


def old(name: str, content: bytes, files: str = "", members: Sequence[bytes] = ()) -> Shape:
    """Return a package without paths.json: info/files lists its members, and `content` is another old list."""
    listed = files or ALL
    return Shape(paths=None, info={"files": listed.encode(), name: content}, members=[*members, *MEMBERS])


ALL = "bin/demo\nshare/demo.txt\nshare/link.txt\netc/demo.conf\nlib/libdemo.so\n"
SHARE = tar_member("share/", kind=DIRECTORY, mode=0o755)
MISSING = {"missing": ..., "null": None}
PREFIX = {"prefix_placeholder": PLACEHOLDER, "file_mode": "text"}

PATHS_JSON: Named = (
    {
        "missing": Shape(paths=None),
        "missing, with info/files": old("about.json", b"{}"),
        "empty": paths(b""),
        "null": paths(b"null"),
        "a list": paths(json.dumps(list(LISTED)).encode()),
        "byte order mark": paths(b"\xef\xbb\xbf" + json.dumps(PATHS).encode()),
        "a comma at the end": paths(json.dumps(PATHS).encode()[:-1] + b",}"),
        "indented": paths(json.dumps(PATHS, indent=4).encode()),
        "more after the end": paths(json.dumps(PATHS).encode() + b"x"),
        "a key twice": paths(json.dumps(PATHS).encode()[:-1] + b', "paths": []}'),
        "other keys": paths(PATHS | {"made_by": "x"}),
        "no paths": paths({"paths_version": 1}),
        "paths null": paths({"paths": None, "paths_version": 1}),
        "no paths_version": paths({"paths": list(LISTED)}),
        "paths_version 2": paths(PATHS | {"paths_version": 2}),
        "paths_version 0": paths(PATHS | {"paths_version": 0}),
        "paths_version '1'": paths(PATHS | {"paths_version": "1"}),
        "paths_version 1.0": paths(PATHS | {"paths_version": 1.0}),
        "paths_version true": paths(PATHS | {"paths_version": True}),
        "a file is not listed": with_members(A),
        "a listed file is missing": with_members(listed=[A_LISTED]),
        "a listed directory is missing": with_members(listed=[paths_entry("d", b"", "directory")]),
        "a file is listed twice": with_members(A, listed=[A_LISTED, A_LISTED]),
        "a file is listed twice, in two ways": with_members(A, listed=[A_LISTED, {**A_LISTED, **PREFIX}]),
        "a file below info/ is listed": with_members(
            info_members=[tar_member("info/x", TEXT)], listed=[paths_entry("info/x", TEXT)]
        ),
        "a file is listed after ./": with_members(A, listed=[paths_entry("./a", TEXT)]),
        "a file is listed with a backslash": with_members(tar_member("d/a", TEXT), listed=[paths_entry("d\\a", TEXT)]),
        "a file is listed as absolute": with_members(A, listed=[paths_entry("/a", TEXT)]),
        "a file is listed with ..": with_members(A, listed=[paths_entry("share/../a", TEXT)]),
        "a file is listed in other capitals": with_members(A, listed=[paths_entry("A", TEXT)]),
        "a directory is listed as a file": with_members(
            tar_member("d/", kind=DIRECTORY, mode=0o755), listed=[paths_entry("d")]
        ),
        "a directory with files is listed": with_members(listed=[paths_entry("share", b"", "directory")]),
        "entries in another order": Shape(paths=LISTED[::-1]),
    }
    | named("_path", MISSING | {"a number": 1, "empty": ""})
    | named("path_type", MISSING | {"unknown": "symlink", "in capitals": "HARDLINK", "a list": []})
    | named("path_type", {"linked_package_record": "linked_package_record", "pyc_file": "pyc_file"})
    | named(
        "sha256",
        MISSING | {"of other bytes": "0" * 64, "no digest": "abc", "in capitals": str(A_LISTED["sha256"]).upper()},
    )
    | named("sha256", {"empty": "", "a number": 1})
    | named(
        "size_in_bytes", MISSING | {"another": 1, "-1": -1, "a string": "6", "6.0": 6.0, "true": True, "2^64": 2**64}
    )
    | named("no_link", {"null": None, "false": False, "true": True, "a string": "yes", "1": 1})
    | named("inode_paths", {"a list": ["a"], "null": None})
    | named("unknown key", {"null": None, "a list": [1]})
    | named("file_mode", {"text alone": "text", "binary alone": "binary", "null": None, "unknown alone": "x"})
    | named("prefix_placeholder", {"alone": PLACEHOLDER, "null": None, "empty": "", "a number": 1})
    | {
        "prefix_placeholder empty, with a mode": entry(prefix_placeholder="", file_mode="text"),
        "prefix_placeholder null, with a mode": entry(prefix_placeholder=None, file_mode="text"),
        "prefix_placeholder not in the file": entry(**PREFIX),
        "prefix_placeholder with an unknown mode": entry(prefix_placeholder=PLACEHOLDER, file_mode="x"),
        "prefix_placeholder with mode null": entry(prefix_placeholder=PLACEHOLDER, file_mode=None),
        "prefix_placeholder of one character": entry(prefix_placeholder="h", file_mode="text"),
        "binary placeholder in a text": with_members(
            tar_member("a", PLACEHOLDER.encode()),
            listed=[
                {**paths_entry("a", PLACEHOLDER.encode()), "prefix_placeholder": PLACEHOLDER, "file_mode": "binary"}
            ],
        ),
        "prefix_placeholder with backslashes": with_members(
            tar_member("a", rb"x = C:\old\place"),
            listed=[
                {**paths_entry("a", rb"x = C:\old\place"), "prefix_placeholder": r"C:\old\place", "file_mode": "text"}
            ],
        ),
        "prefix_placeholder in a script's first line": with_members(
            tar_member("bin/a", f"#!{PLACEHOLDER}/bin/python\n".encode(), mode=0o755),
            listed=[{**paths_entry("bin/a", f"#!{PLACEHOLDER}/bin/python\n".encode()), **PREFIX}],
        ),
        "a symlink with no_link": Shape(paths=[*LISTED[:2], {**LISTED[2], "no_link": True}, *LISTED[3:]]),
        "a symlink with a placeholder": Shape(paths=[*LISTED[:2], {**LISTED[2], **PREFIX}, *LISTED[3:]]),
    }
)

OLD_LISTS: Named = {
    "info/files with other paths": old("about.json", b"{}", "bin/demo\nmissing\n"),
    "info/files empty": old("about.json", b"{}", "\n"),
    "info/files with line ends of Windows": old("about.json", b"{}", ALL.replace("\n", "\r\n")),
    "info/files without a file": old("about.json", b"{}", "bin/demo\nshare/demo.txt\n"),
    "info/files with a path twice": old("about.json", b"{}", ALL + "bin/demo\n"),
    "info/files with a path outside": old("about.json", b"{}", ALL + f"../{STEM}/bin/demo\n"),
    "info/files with a doubled slash": old("about.json", b"{}", ALL.replace("bin/", "bin//")),
    "info/files with a path after ./": old("about.json", b"{}", ALL.replace("bin/", "./bin/")),
    "info/files with an empty line": old("about.json", b"{}", ALL.replace("\n", "\n\n")),
    "info/files with a comment": old("about.json", b"{}", "# all\nbin/demo\nshare/demo.txt\n"),
    "info/files with a line of blanks": old("about.json", b"{}", "bin/demo\n  \nshare/demo.txt\n"),
    "info/files with a blank before a path": old("about.json", b"{}", " bin/demo\nshare/demo.txt\n"),
    "info/files with a blank after a path": old("about.json", b"{}", "bin/demo \nshare/demo.txt\n"),
    "info/files with line ends of CR alone": old("about.json", b"{}", "bin/demo\rshare/demo.txt\r"),
    "info/files with a directory": old("about.json", b"{}", "bin/demo\nshare\n", [SHARE]),
    "info/files with a byte order mark": old("about.json", b"{}", "\ufeffbin/demo\nshare/demo.txt\n"),
    "has_prefix: a path": old("has_prefix", b"share/demo.txt\n"),
    "has_prefix: placeholder, mode, path": old("has_prefix", f"{PLACEHOLDER} text etc/demo.conf\n".encode()),
    "has_prefix: in quotes": old("has_prefix", f'"{PLACEHOLDER}" "text" "etc/demo.conf"\n'.encode()),
    "has_prefix: binary": old("has_prefix", f"{PLACEHOLDER} binary lib/libdemo.so\n".encode()),
    "has_prefix: an unknown mode": old("has_prefix", f"{PLACEHOLDER} x etc/demo.conf\n".encode()),
    "has_prefix: two words": old("has_prefix", b"text etc/demo.conf\n"),
    "has_prefix: another file": old("has_prefix", b"/old text missing\n"),
    "no_link": old("no_link", b"share/demo.txt\n"),
    "no_link of a symlink": old("no_link", b"share/link.txt\n"),
    "no_link of a file twice": old("no_link", b"share/demo.txt\nshare/demo.txt\n"),
    "no_link with a blank before a path": old("no_link", b" share/demo.txt\n"),
    "has_prefix of a symlink": old("has_prefix", f"{PLACEHOLDER} text share/link.txt\n".encode()),
    "has_prefix: a line of none": old("has_prefix", b"share/demo.txt\n\netc/demo.conf\n"),
    "has_prefix: a comment": old("has_prefix", b"# text\nshare/demo.txt\n"),
    "has_prefix: a blank before": old("has_prefix", f" {PLACEHOLDER} text etc/demo.conf\n".encode()),
    "has_prefix: a doubled slash": old("has_prefix", f"{PLACEHOLDER} text etc//demo.conf\n".encode()),
    "has_prefix: a mode in capitals": old("has_prefix", f"{PLACEHOLDER} TEXT etc/demo.conf\n".encode()),
    "has_prefix: a no-break space": old("has_prefix", f"{PLACEHOLDER}\u00a0text etc/demo.conf\n".encode()),
    "no_softlink": old("no_softlink", b"share/link.txt\n"),
    "has_prefix beside paths.json": with_info("has_prefix", f"{PLACEHOLDER} text share/demo.txt\n".encode()),
    "no_link beside paths.json": with_info("no_link", b"share/demo.txt\n"),
    "files beside paths.json, with others": with_info("files", b"missing\n"),
}

ABOUT_JSONS: dict[str, Any] = {
    "missing": None,
    "empty object": {},
    "empty": b"",
    "null": b"null",
    "a list": b"[]",
    "no JSON": b"license: MIT",
    "byte order mark": b"\xef\xbb\xbf{}",
    "Latin-1": b'{"summary": "Andr\xe9"}',
    "NaN": b'{"x": NaN}',
    "NUL": b'{"summary": "a\\u0000"}',
    "a lone surrogate": b'{"summary": "\\ud800"}',
    "a key twice": b'{"home": "a", "home": "b"}',
    "a comma at the end": b'{"home": "a",}',
    "home null": {"home": None},
    "home a list": {"home": ["https://example.org"]},
    "home no address": {"home": "see README"},
    "home javascript:": {"home": "javascript:alert(1)"},
    "license a list": {"license": ["MIT"]},
    "summary a number": {"summary": 1},
    "channels an object": {"channels": {}},
    "extra nested": {"extra": {"final": True, "recipe-maintainers": ["x"]}},
    "description of 1 MiB": {"description": "x" * 2**20},
    "2^64": b'{"x": 18446744073709551616}',
    "nested 100 deep": b'{"x": ' + b"[" * 100 + b"]" * 100 + b"}",
}
ABOUT: Named = {name: Shape(info={"about.json": content}) for name, content in ABOUT_JSONS.items()}


RUN_EXPORTS_JSONS: dict[str, Any] = {
    "weak": {"weak": ["demo >=1"]},
    "every kind": {kind: ["demo"] for kind in ("weak", "strong", "noarch", "weak_constrains", "strong_constrains")},
    "a list": ["demo >=1"],
    "a string": "demo >=1",
    "weak a string": {"weak": "demo"},
    "weak null": {"weak": None},
    "weak with null": {"weak": [None]},
    "weak an object": {"weak": {}},
    "an unknown kind": {"strange": ["demo"]},
    "empty object": {},
    "null": b"null",
    "empty": b"",
    "no JSON": b"weak: demo",
    "byte order mark": b'\xef\xbb\xbf{"weak": ["demo"]}',
    "no spec": {"weak": ["==="]},
    "NaN": b'{"weak": [NaN]}',
}
RUN_EXPORTS: Named = {name: with_info("run_exports.json", content) for name, content in RUN_EXPORTS_JSONS.items()}

OTHER_INFO: Named = {
    "an unknown file": with_info("anything.bin", b"\0\1"),
    "an empty directory": Shape(info_members=[tar_member("info/test/", kind=DIRECTORY, mode=0o755)]),
    "the info directory": Shape(info_members=[tar_member("info/", kind=DIRECTORY, mode=0o755)]),
    "a licence": with_info("licenses/LICENSE", b"MIT"),
    "an old licence": with_info("LICENSE.txt", b"MIT"),
    "a recipe": with_info("recipe/meta.yaml", b"package: {name: demo}"),
    "hash_input.json that is no JSON": with_info("hash_input.json", b"x"),
    "git with bytes": with_info("git", b"\xff\xfe"),
    "a long name": Shape(info_members=[gnu_long_name("info/" + "n" * 200) + tar_member("short", b"")]),
    "repodata_record.json": with_info("repodata_record.json", {}),
    "repodata_record.json of another package": with_info("repodata_record.json", {"name": "evil", "depends": ["evil"]}),
    "REPODATA_RECORD.JSON": with_info("REPODATA_RECORD.JSON", {}),
    "INDEX.json": with_info("INDEX.json", {}),
    "index.json.": with_info("index.json.", {}),
    "package_metadata.json": with_info("package_metadata.json", {"package_metadata_version": 1}),
    "post_install.json": with_info("post_install.json", {}),
    "index.json twice": Shape(info_members=[tar_member("info/index.json", b"{}")]),
    "a file outside info/": Shape(info_members=[tar_member("share/x", b"")]),
    "a file outside info/, listed": Shape(
        info_members=[tar_member("share/x", b"")], paths=[*LISTED, paths_entry("share/x")]
    ),
}

LAYERS = {
    "paths.json": PATHS_JSON,
    "lists from before paths.json": OLD_LISTS,
    "about.json": ABOUT,
    "link.json": LINK,
    "run_exports.json": RUN_EXPORTS,
    "other files in the info archive": OTHER_INFO,
}
