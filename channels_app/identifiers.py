"""Identifiers of CEP 26, as patterns that match whole strings.

`\\Z` instead of `$` (which accepts a newline at the end), explicit ASCII classes instead of IGNORECASE (which accepts
U+212A and U+017F).
"""

import re

PACKAGE_NAME = re.compile(r"(?!.*[._-]{2})[a-z0-9_][a-z0-9._-]*\Z")
VERSION = re.compile(r"[0-9A-Za-z._+!]+\Z")
BUILD = re.compile(r"[A-Za-z0-9_.+]+\Z")
SUBDIR = re.compile(r"(?:noarch|[a-z0-9]+-[a-z0-9]+)\Z")
CHANNEL = re.compile(r"[a-z0-9_][a-z0-9_.-]*\Z")
# Not of CEP 26. anaconda.org has no rule; a label is a folder in URLs and in the store.
LABEL = re.compile(r"[a-z0-9_][a-z0-9_.-]*\Z")
# The label of the files in the channel's own index.
MAIN_LABEL = "main"

NAME_MAX_CHARACTERS = 64
SUBDIR_MAX_CHARACTERS = 32
FILE_NAME_MAX_CHARACTERS = 211
CHANNEL_MAX_CHARACTERS = 128
LABEL_MAX_CHARACTERS = 64

EXTENSIONS = (".conda", ".tar.bz2")

# Every subdir that a client (rattler, conda, mamba) knows: rattler and conda cache a missing index file for days.
# tests/archive/test_identifiers.py compares the list with those of the clients.
KNOWN_SUBDIRS = (
    "noarch",
    "linux-64",
    "linux-aarch64",
    "osx-arm64",
    "osx-64",
    "win-64",
    "win-arm64",
    "linux-ppc64le",
    "linux-s390x",
    "linux-riscv64",
    "linux-armv7l",
    "linux-armv6l",
    "linux-loongarch64",
    "linux-ppc64",
    "linux-ppc",
    "linux-riscv32",
    "linux-32",
    "win-32",
    "freebsd-64",
    "freebsd-arm64",
    "freebsd-ppc64le",
    "freebsd-ppc64",
    "freebsd-32",
    "ios-arm64",
    "iossimulator-arm64",
    "iossimulator-64",
    "android-aarch64",
    "android-armv7a",
    "android-64",
    "android-32",
    "emscripten-wasm32",
    "emscripten-wasm64",
    "wasi-wasm32",
    "zos-z",
)


def is_package_name(name: object) -> bool:
    """Tell whether CEP 26 allows the name."""
    is_short = isinstance(name, str) and len(name) <= NAME_MAX_CHARACTERS
    return is_short and PACKAGE_NAME.match(str(name)) is not None


def is_subdir(name: str) -> bool:
    """Tell whether CEP 26 allows `name` as a subdir."""
    return len(name) <= SUBDIR_MAX_CHARACTERS and SUBDIR.match(name) is not None
