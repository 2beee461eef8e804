"""Mutations of the documents below info/: both forms of the list, link.json and index.json."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.archives import tar_member
from tests.fuzz.drafts import LINK, Draft, blocks_of

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1.0, 1.5, 2**31, 2**63, 2**64, "", "x", "1", "text", "binary", "hardlink", "softlink",
    "directory", "python",
    "generic", [], {}, ["x"], [None], {"x": 1}, "a" * 64, "A" * 64, "\u00e9", "x ", [1], [["x"]],
)  # fmt: skip
PATH_CHANGES: tuple[Callable[[str], str], ...] = (
    lambda path: "./" + path, lambda path: path.replace("/", "//", 1), lambda path: "/" + path,
    lambda path: "../demo-1.0-0/" + path,
    lambda path: path + "/", lambda path: path.replace("/", "\\"), lambda path: path.upper(), lambda path: path + " ",
    lambda path: " " + path,
    lambda path: "x/../" + path, lambda path: path + "\u200b", lambda path: "missing", lambda path: "info/index.json",
    lambda path: "share/d",
    lambda path: path.rpartition("/")[0], lambda path: "", lambda path: ".", lambda path: "~/x",
    lambda path: "${HOME}", lambda path: "C:/x",
    lambda path: "#" + path, lambda path: path + "\r", lambda path: path + "\x0b", lambda path: path + "\x85",
    lambda path: path + "\u2028x",
)  # fmt: skip
ENTRY_KEYS = (
    "_path",
    "path_type",
    "sha256",
    "size_in_bytes",
    "no_link",
    "prefix_placeholder",
    "file_mode",
    "inode_paths",
    "x",
    "sha256_in_prefix",
)


def paths_entry_key(random: Random, draft: Draft) -> str:
    """Change one key of one entry of paths.json."""
    if not draft.paths:
        return old_lists(random, draft)
    entry = random.choice(draft.paths)
    key = random.choice(ENTRY_KEYS)
    if key == "_path" and random.random() < 0.9:
        entry[key] = random.choice(PATH_CHANGES)(str(entry.get(key)))
    elif random.random() < 0.2:
        entry.pop(key, None)
    else:
        entry[key] = copy.deepcopy(random.choice(VALUES))
    if key == "prefix_placeholder" and random.random() < 0.5:
        entry["file_mode"] = random.choice(("text", "binary"))
    return f"{key} of {entry}"


def paths_entries(random: Random, draft: Draft) -> str:
    """Drop, duplicate or move entries of paths.json."""
    if not draft.paths:
        return old_lists(random, draft)
    place = random.randrange(len(draft.paths))
    entry = draft.paths[place]
    if random.random() < 0.5:
        del draft.paths[place]
    if random.random() < 0.7:
        draft.paths.insert(random.randrange(len(draft.paths) + 1), dict(entry))
    return f"entries around {place}"


def old_lists(random: Random, draft: Draft) -> str:
    """Write info/files and the other old lists, mostly instead of paths.json."""
    paths = [str(entry.get("_path")) for entry in draft.paths or []] or draft.info.get("files", b"").decode(
        "utf-8", "replace"
    ).splitlines()
    if draft.extension == ".tar.bz2" and random.random() < 0.8:
        draft.paths = None
    if not paths:
        return "no paths"
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\x0b", "\x85"))
    place = random.randrange(len(paths))
    changed = list(paths)
    if random.random() < 0.6:
        changed[place] = random.choice(PATH_CHANGES)(changed[place])
    if random.random() < 0.2:
        changed.append(changed[place])
    if random.random() < 0.2:
        del changed[0]
    text = end.join(changed) + random.choice((end, end, ""))
    draft.info["files"] = text.encode() if random.random() < 0.95 else text.encode() + b"\xff\n"
    if random.random() < 0.5:
        name = random.choice(("has_prefix", "has_prefix", "no_link", "no_softlink"))
        draft.info[name] = random.choice(OLD_LINES)(random.choice(paths)).encode() + random.choice(
            (b"\n", b"", b"\n\n", b"\r\n", b"\n# x\n")
        )
        return f"{name} {draft.info[name]!r} and files {draft.info['files']!r}"
    return f"files {draft.info['files']!r}"


OLD_LINES: tuple[Callable[[str], str], ...] = (
    lambda path: path, lambda path: f"/old text {path}", lambda path: f"/old binary {path}",
    lambda path: f'"/old" text "{path}"',
    lambda path: f"/old TEXT {path}", lambda path: f"/old\ttext\t{path}", lambda path: f"/old  text  {path}",
    lambda path: f" {path}",
    lambda path: f"{path} ", lambda path: f"'{path}'", lambda path: f"/old text ./{path}", lambda path: "missing",
    lambda path: f"./{path}",
    lambda path: f"/o'ld text {path}", lambda path: f"/old text {path} x", lambda path: f"text {path}",
    lambda path: "", lambda path: f"#{path}",
    lambda path: f"/old\x0btext {path}", lambda path: f"/old\u00a0text {path}", lambda path: f"{path}\n{path}",
    lambda path: f"/a#b text {path}",
    lambda path: f"/old text {path}\n/new binary {path}", lambda path: f"/old\\ text {path}",
)  # fmt: skip


def link(random: Random, draft: Draft) -> str:
    """Change one value of link.json, in a noarch python package."""
    if draft.subdir != "noarch":
        return index_key(random, draft)
    document: dict[str, Any] = copy.deepcopy(dict(LINK))
    target = random.choice((document, document["noarch"]))
    key = random.choice(("noarch", "package_metadata_version", "preferred_env", "type", "entry_points", "x"))
    target[key] = copy.deepcopy(random.choice((*VALUES, *ENTRY_POINTS, *PREFERRED)))
    draft.info["link.json"] = json.dumps(document).encode()
    draft.index["noarch"] = random.choice(("python", "python", "generic"))
    return f"link.json {document}"


ENTRY_POINTS = (
    ["a=b:c"], [" a = b : c "], ["a = b.c:d.e"], ["a = b:c", "a = b:c"], ["a.b = c:d"], ["-a = b:c"], ["a b = c:d"],
    [".a = b:c"], ["a = b:c [x]"],
    ["a = b"], ["a = 1b:c"], ["a = b:c\n"], ["\u00e9 = b:c"], ["a = \u00e9:c"], ["a+b = c:d"], ["a\t= b:c"],
    ["a = b:\tc"], ["con = b:c"], [""],
)  # fmt: skip
PREFERRED: tuple[Any, ...] = (
    {"name": "x"},
    {"name": "x", "executable_paths": ["bin/x"]},
    {"name": "x", "softlink_paths": None},
    {"executable_paths": []},
    {"name": 1},
)


def index_key(random: Random, draft: Draft) -> str:
    """Change one key of index.json."""
    key = random.choice(
        (
            *draft.index,
            "license",
            "features",
            "track_features",
            "constrains",
            "platform",
            "arch",
            "noarch",
            "namespace",
            "x",
        )
    )
    if random.random() < 0.2:
        draft.index.pop(key, None)
    else:
        draft.index[key] = copy.deepcopy(random.choice(VALUES))
    return f"{key} of index.json = {draft.index.get(key)!r}"


def raw_document(random: Random, draft: Draft) -> str:
    """Change the bytes of one document, or add a file."""
    name = random.choice(
        (
            "paths.json",
            "link.json",
            "files",
            "has_prefix",
            "no_link",
            "about.json",
            "run_exports.json",
            "package_metadata.json",
            "x",
        )
    )
    content = draft.info.get(name, b'{"a": 1}')
    if name == "paths.json" and draft.paths is not None:
        content = json.dumps({"paths": draft.paths, "paths_version": 1}).encode()
        draft.paths = None
    change = random.choice(
        (lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"}", b",}", 1), lambda data: data + b"x",
         lambda data: b"",
         lambda data: data.replace(b'"', b"'"), lambda data: data.replace(b"1", b"01"), lambda data: data.replace(b"1",
         b"1e0"),
         lambda data: data.replace(b"1", b"1.0"), lambda data: data.decode().encode("utf-16"),
         lambda data: data + b"\0", lambda data: data)
    )  # fmt: skip
    draft.info[name] = change(content)
    return f"{name} {draft.info[name]!r}"


def in_pkg(random: Random, draft: Draft) -> str:
    """Add a member below info/ to the pkg archive."""
    name = random.choice(
        ("info/index.json", "info/x", "info/licenses/x", "INFO/x", "info", "info/", "info./x", "info/files",
         "info/link.json", "info/INDEX.JSON",
         "info/index.json ", "info/recipe/x", "conda-meta/x", "info/no_link", "info/has_prefix", "info/paths.json",
         "info/IND~1", "Info")
    )  # fmt: skip
    kind = random.choice((b"0", b"0", b"5", b"2"))
    block = blocks_of(tar_member(name, b"" if kind != b"0" else b"x", kind=kind, target=b"about.json"))[0]
    draft.pkg.blocks.insert(random.randrange(len(draft.pkg.blocks) + 1), block)
    return f"member {name} {kind!r}"


MUTATIONS = (
    paths_entry_key,
    paths_entry_key,
    paths_entries,
    old_lists,
    old_lists,
    link,
    index_key,
    raw_document,
    in_pkg,
)
