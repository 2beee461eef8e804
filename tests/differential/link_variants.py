"""Variants of info/link.json."""

from typing import Any

from tests.differential.index_variants import noarch
from tests.differential.shapes import Shape

Named = dict[str, Shape]


def link(document: Any, kind: str = "python") -> Shape:
    shape = noarch(noarch=kind)
    return Shape(info={"about.json": {"license": "MIT"}, "link.json": document}, index=shape.index, subdir="noarch")


def in_linux(document: Any) -> Shape:
    return Shape(info={"about.json": {"license": "MIT"}, "link.json": document})


def entry_points(*points: Any) -> Shape:
    return link({"noarch": {"type": "python", "entry_points": list(points)}, "package_metadata_version": 1})


PREFERRED_ENVS: dict[str, Any] = {
    "null": None,
    "good": {"name": "x", "executable_paths": ["bin/x"]},
    "a string": "x",
    "without a name": {"executable_paths": []},
    "with a number": {"name": 1},
    "with other keys": {"name": "x", "y": 1},
    "with paths of null": {"name": "x", "softlink_paths": None},
    "with a number as a path": {"name": "x", "executable_paths": [1]},
}

LINK: Named = {
    "good": entry_points("demo = demo:main"),
    "no spaces": entry_points("demo2=demo:main"),
    "dotted": entry_points("demo2 = demo.cli:App.main"),
    "no entry points": link({"noarch": {"type": "python"}, "package_metadata_version": 1}),
    "entry_points null": link({"noarch": {"type": "python", "entry_points": None}, "package_metadata_version": 1}),
    "entry_points a string": link(
        {"noarch": {"type": "python", "entry_points": "a = b:c"}, "package_metadata_version": 1}
    ),
    "generic": link({"noarch": {"type": "generic"}, "package_metadata_version": 1}, "generic"),
    "generic, in a python package": link({"noarch": {"type": "generic"}, "package_metadata_version": 1}),
    "python with entry points, in a generic package": link(
        {"noarch": {"type": "python", "entry_points": ["demo2 = demo:main"]}, "package_metadata_version": 1}, "generic"
    ),
    "type unknown": link({"noarch": {"type": "ruby"}, "package_metadata_version": 1}),
    "type missing": link({"noarch": {}, "package_metadata_version": 1}),
    "noarch null": link({"noarch": None, "package_metadata_version": 1}),
    "noarch missing": link({"package_metadata_version": 1}),
    "noarch a string": link({"noarch": "python", "package_metadata_version": 1}),
    "package_metadata_version missing": link({"noarch": {"type": "python"}}),
    "package_metadata_version 2": link({"noarch": {"type": "python"}, "package_metadata_version": 2}),
    "package_metadata_version '1'": link({"noarch": {"type": "python"}, "package_metadata_version": "1"}),
    "preferred_env": link({"preferred_env": {"name": "x"}, "package_metadata_version": 1}),
    **{
        f"preferred_env {name}": link(
            {"noarch": {"type": "python"}, "package_metadata_version": 1, "preferred_env": value}
        )
        for name, value in PREFERRED_ENVS.items()
    },
    "other keys": link({"noarch": {"type": "python", "x": 1}, "package_metadata_version": 1, "y": 2}),
    "empty object": link({}),
    "empty": link(b""),
    "a list": link([]),
    "byte order mark": link(b"\xef\xbb\xbf{}"),
    "an entry point without a function": entry_points("demo2 = demo"),
    "an entry point without a command": entry_points("= demo:main"),
    "an entry point with an extra": entry_points("demo2 = demo:main [extra]"),
    "an entry point with a dash in its module": entry_points("demo2 = de-mo:main"),
    "an entry point that leaves bin/": entry_points("../../evil = demo:main"),
    "an entry point in a folder": entry_points("sub/demo2 = demo:main"),
    "an entry point with code": entry_points("demo2 = os:system('x')"),
    "an entry point with a line end": entry_points("demo2 = demo:main\nimport os"),
    "an entry point with a space in its command": entry_points("de mo = demo:main"),
    "an entry point with a semicolon": entry_points("demo2 = demo:main;x"),
    "an entry point that is a number": entry_points(1),
    "two entry points of a name": entry_points("demo2 = demo:main", "demo2 = demo:other"),
    "an entry point of a file's name": entry_points("demo = demo:main"),
    "in linux-64": in_linux({"noarch": {"type": "python"}, "package_metadata_version": 1}),
    "in linux-64, empty": in_linux(b""),
}
