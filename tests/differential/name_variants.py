"""Variants of the paths of members and the targets of links."""

from tests.archives import hardlink, paths_entry, pax_header, symlink, tar_member
from tests.differential.shapes import SETTING, TEXT, Shape
from tests.differential.tar_variants import A_LISTED, DIRECTORY, A, a_file, long_file, pax_name, with_a, with_members

Named = dict[str, Shape]

WINDOWS = (
    *("a:b.txt", "aux", "con.txt", "NUL", "share/com1.log", "lpt9", "dot.", "space ", "what?", "star*", "a<b>", "a|b"),
    *('quote"', "share/aux.h/file", "COM¹", "conin$", "CONOUT$"),
)

NAMES: Named = {name: a_file(name) for name in WINDOWS} | {
    "after ./": with_members(tar_member("./a", TEXT), listed=[A_LISTED]),
    "after ././": with_members(tar_member("././a", TEXT), listed=[A_LISTED]),
    "all after ./": Shape(
        members=[
            tar_member("./bin/demo", b"#!/bin/sh\necho demo\n", mode=0o755),
            tar_member("./share/demo.txt", TEXT),
        ],
        paths=[paths_entry("bin/demo", b"#!/bin/sh\necho demo\n"), paths_entry("share/demo.txt", TEXT)],
    ),
    "with /./ inside": with_members(tar_member("d/./a", TEXT), listed=[paths_entry("d/a", TEXT)]),
    "with // inside": with_members(tar_member("d//a", TEXT), listed=[paths_entry("d/a", TEXT)]),
    "with a slash at the end": with_members(tar_member("a/", TEXT), listed=[A_LISTED]),
    "absolute": with_members(tar_member("/a", TEXT), listed=[A_LISTED]),
    "absolute, elsewhere": with_members(tar_member("/tmp/demo-evil", TEXT)),
    "a drive": a_file("C:/a"),
    "..": with_members(tar_member("../demo-evil", TEXT)),
    ".. inside": with_members(tar_member("d/../a", TEXT), listed=[A_LISTED]),
    ".. inside, leaving": with_members(tar_member("d/../../demo-evil", TEXT)),
    "empty": with_members(tar_member("", TEXT)),
    ".": with_members(tar_member(".", TEXT)),
    "backslash": a_file("d\\a"),
    "line end": a_file("a\nb"),
    "tab": a_file("a\tb"),
    "escape": a_file("a\x1bb"),
    "DEL": a_file("a\x7fb"),
    "C1 control": a_file("a\u0085b"),
    "NUL by pax": with_members(pax_name("a\0b") + A, listed=[A_LISTED]),
    "Latin-1": with_members(tar_member(b"caf\xe9", TEXT), listed=[paths_entry("caf\u00e9", TEXT)]),
    "Latin-1, not listed": with_members(tar_member(b"caf\xe9", TEXT)),
    "surrogate in UTF-8": with_members(tar_member(b"a\xed\xa0\x80", TEXT), listed=[A_LISTED]),
    "é in one character": a_file("caf\u00e9"),
    "é in two characters": a_file("cafe\u0301"),
    "é in both ways": with_members(
        tar_member("caf\u00e9", TEXT),
        tar_member("cafe\u0301", TEXT),
        listed=[paths_entry("caf\u00e9", TEXT), paths_entry("cafe\u0301", TEXT)],
    ),
    "emoji": a_file("\U0001f40d.txt"),
    "right to left": a_file("a\u202eb"),
    "zero width": a_file("a\u200bb"),
    "space inside": a_file("a b"),
    "space in front": a_file(" a"),
    "dash in front": a_file("-rf"),
    "dollar": a_file("$HOME"),
    "percent": a_file("a%2Fb"),
    "tilde": a_file("~root"),
    "hidden": a_file(".hidden"),
    "three dots": a_file("..."),
    "differ by case alone": with_members(
        tar_member("README", TEXT),
        tar_member("readme", TEXT),
        listed=[paths_entry("README", TEXT), paths_entry("readme", TEXT)],
    ),
    "segment of 255 bytes": long_file("n" * 255, pax_name),
    "segment of 256 bytes": long_file("n" * 256, pax_name),
    "path of 1,000 bytes": long_file("/".join(["d" * 99] * 10), pax_name),
    "path of 2,000 bytes": long_file("/".join(["d" * 99] * 20), pax_name),
    "100 folders deep": long_file("/".join(["d"] * 100), pax_name),
}

PLACES: Named = {
    "conda-meta/demo.json": a_file("conda-meta/demo.json"),
    "conda-meta/history": a_file("conda-meta/history"),
    "conda-meta/pinned": a_file("conda-meta/pinned"),
    "conda-meta/state": a_file("conda-meta/state"),
    "Conda-Meta/demo.json": a_file("Conda-Meta/demo.json"),
    "conda-meta as a directory": with_members(tar_member("conda-meta/", kind=DIRECTORY, mode=0o755)),
    "pkgs/": a_file("pkgs/demo"),
    "envs/": a_file("envs/demo"),
    "condabin/": a_file("condabin/demo"),
    "Info/": a_file("Info/index.json"),
    "INFO/ with a licence": a_file("INFO/LICENSE"),
    "info2/": a_file("info2/index.json"),
    "share/info/": a_file("share/info/index.json"),
    "site-packages": a_file("site-packages/demo.py"),
    "Menu/demo.txt": a_file("Menu/demo.txt"),
    "python-scripts": a_file("python-scripts/demo"),
    ".condarc": a_file(".condarc"),
}

INFO_IN_PKG: Named = {
    "a licence": with_members(tar_member("info/licenses/LICENSE", b"MIT")),
    "a licence, listed": with_members(
        tar_member("info/licenses/LICENSE", b"MIT"), listed=[paths_entry("info/licenses/LICENSE", b"MIT")]
    ),
    "a name that ends in a dot": with_members(tar_member("info/index.json.", b"{}")),
    "a name that ends in a space": with_members(tar_member("info/index.json ", b"{}")),
    "a name with a stream of Windows": with_members(tar_member("info/paths.json::$DATA", b"{}")),
    "a name that is a short one of Windows": with_members(tar_member("info/INDEX~1.JSO", b"{}")),
    "a name with an invisible character": with_members(tar_member("info/has_p\u200crefix", b"")),
    "REPODATA_RECORD.JSON": with_members(tar_member("info/REPODATA_RECORD.JSON", b"{}")),
    "directories": with_members(
        tar_member("info/", kind=DIRECTORY, mode=0o755), tar_member("info/licenses/", kind=DIRECTORY, mode=0o755)
    ),
    "a hardlink to a file": with_a(hardlink("info/licenses/LICENSE", "a")),
    "a file that is a hardlink to it": with_members(
        tar_member("info/licenses/LICENSE", TEXT), hardlink("a", "info/licenses/LICENSE"), listed=[A_LISTED]
    ),
    "a symlink": with_a(symlink("info/licenses/LICENSE", "../../a")),
    "recipe and test": with_members(tar_member("info/recipe/meta.yaml", b""), tar_member("info/test/run_test.sh", b"")),
    "the same path twice": with_members(tar_member("info/x", b"1"), info_members=[tar_member("info/x", b"2")]),
    "index.json twice": with_members(tar_member("info/index.json", b"{}")),
    "paths.json twice": with_members(tar_member("info/paths.json", b'{"paths": [], "paths_version": 1}')),
    "about.json twice": with_members(tar_member("info/about.json", b"{}")),
    "link.json": with_members(tar_member("info/link.json", b'{"package_metadata_version": 1}')),
    "files": with_members(tar_member("info/files", b"a\n")),
    "has_prefix": with_members(tar_member("info/has_prefix", b"share/demo.txt\n")),
    "no_link": with_members(tar_member("info/no_link", b"share/demo.txt\n")),
    "no_softlink": with_members(tar_member("info/no_softlink", b"share/link.txt\n")),
    "run_exports.json": with_members(tar_member("info/run_exports.json", b'{"weak": ["demo"]}')),
    "repodata_record.json": with_members(tar_member("info/repodata_record.json", b"{}")),
}

LINKS: Named = {
    "symlink to a file": with_a(symlink("l", "a"), listed=[paths_entry("l", TEXT, "softlink")]),
    "symlink with ..": with_a(symlink("d/l", "../a"), listed=[paths_entry("d/l", TEXT, "softlink")]),
    "symlink to a directory": with_members(symlink("l", "share"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink to a directory, with a slash": with_members(
        symlink("l", "share/"), listed=[paths_entry("l", b"", "softlink")]
    ),
    "symlink to nothing": with_members(symlink("l", "missing"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink to itself": with_members(symlink("l", "l"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink to .": with_members(symlink("l", "."), listed=[paths_entry("l", b"", "softlink")]),
    "symlink with ./": with_a(symlink("l", "./a"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink with // inside": with_a(symlink("l", "share//demo.txt"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink with .. after a name": with_a(symlink("l", "share/../a"), listed=[paths_entry("l", TEXT, "softlink")]),
    "symlink outside": with_members(symlink("l", "../../outside"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink to the parent": with_members(symlink("l", ".."), listed=[paths_entry("l", b"", "softlink")]),
    "symlink to an absolute path": with_members(
        symlink("l", "/etc/passwd"), listed=[paths_entry("l", b"", "softlink")]
    ),
    "symlink with an empty target": with_members(symlink("l", ""), listed=[paths_entry("l", b"", "softlink")]),
    "symlink with a backslash": with_members(symlink("l", "share\\a"), listed=[paths_entry("l", b"", "softlink")]),
    "symlink not listed": with_a(symlink("l", "a")),
    "symlink listed as a file": with_a(symlink("l", "a"), listed=[paths_entry("l", TEXT)]),
    "file listed as a symlink": with_members(A, listed=[paths_entry("a", TEXT, "softlink")]),
    "file through a symlink": with_members(
        symlink("l", "share"),
        tar_member("l/evil", TEXT),
        listed=[paths_entry("l", b"", "softlink"), paths_entry("l/evil", TEXT)],
    ),
    "symlink in place of a file's folder, later": with_members(
        tar_member("d/a", TEXT), symlink("d", "share"), listed=[paths_entry("d/a", TEXT)]
    ),
    "hardlink to an earlier file": with_a(hardlink("b", "a"), listed=[paths_entry("b", TEXT)]),
    "hardlink after ./": with_a(hardlink("b", "./a"), listed=[paths_entry("b", TEXT)]),
    "hardlink to a hardlink": with_a(
        hardlink("b", "a"), hardlink("c", "b"), listed=[paths_entry("b", TEXT), paths_entry("c", TEXT)]
    ),
    "hardlink to a later file": with_members(hardlink("b", "a"), A, listed=[A_LISTED, paths_entry("b", TEXT)]),
    "hardlink to nothing": with_members(hardlink("b", "missing"), listed=[paths_entry("b", TEXT)]),
    "hardlink to a symlink": with_members(hardlink("b", "share/link.txt"), listed=[paths_entry("b", TEXT, "softlink")]),
    "hardlink to a directory": with_members(
        tar_member("d/", kind=DIRECTORY, mode=0o755), hardlink("b", "d"), listed=[paths_entry("b", TEXT)]
    ),
    "hardlink outside": with_members(hardlink("b", "../../etc/passwd"), listed=[paths_entry("b", TEXT)]),
    "hardlink to an absolute path": with_members(hardlink("b", "/etc/hostname"), listed=[paths_entry("b", TEXT)]),
    "hardlink to itself": with_members(hardlink("b", "b"), listed=[paths_entry("b", TEXT)]),
    "hardlink of a file with a prefix": with_members(
        hardlink("etc/other.conf", "etc/demo.conf"), listed=[paths_entry("etc/other.conf", SETTING)]
    ),
    "hardlink by pax": with_a(pax_header({"linkpath": "a"}) + hardlink("b", "x"), listed=[paths_entry("b", TEXT)]),
}

DUPLICATES: Named = {
    "same file, same bytes": with_members(A, A, listed=[A_LISTED]),
    "same file, other bytes": with_members(A, tar_member("a", b"other\n"), listed=[A_LISTED]),
    "by ./": with_members(A, tar_member("./a", TEXT), listed=[A_LISTED]),
    "file, then directory": with_members(A, tar_member("a/", kind=DIRECTORY, mode=0o755), listed=[A_LISTED]),
    "directory, then file": with_members(tar_member("a/", kind=DIRECTORY, mode=0o755), A, listed=[A_LISTED]),
    "file, then symlink": with_members(A, symlink("a", "share/demo.txt"), listed=[A_LISTED]),
    "symlink, then file": with_members(symlink("a", "share/demo.txt"), tar_member("a", b"evil"), listed=[A_LISTED]),
    "file below a file": with_members(A, tar_member("a/b", TEXT), listed=[A_LISTED, paths_entry("a/b", TEXT)]),
}

LAYERS = {
    "name": NAMES,
    "place": PLACES,
    "info/ in the pkg archive": INFO_IN_PKG,
    "link": LINKS,
    "duplicate": DUPLICATES,
}
