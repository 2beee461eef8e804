"""Rules that somebody wrote, and their check. Without I/O."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rattler import VersionSpec

from channels_app import identifiers
from hub.sizes import KIB, human_size
from publishing.patches.changes import BadPatch, Checker
from publishing.wording import quote

TITLE_MAX_CHARACTERS = 200
NAMES_MAX, SUBDIRS_MAX = 50, 40
VERSION_MAX_CHARACTERS, BUILD_MAX_CHARACTERS = 200, 64
CHANGES_MAX_BYTES = 64 * KIB

NAME_GLOB = re.compile(r"[a-z0-9._*?\[\]!-]+\Z")
BUILD_GLOB = re.compile(r"[A-Za-z0-9_.+*?\[\]!-]+\Z")
VERSION_SPEC = re.compile(r"[0-9A-Za-z_.+!*<>=~,|() -]+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRule:
    """A rule: its conditions, of which an empty one holds for all records, and its changes (index/patching.py)."""

    title: str
    changes: dict[str, Any]
    names: list[str] = field(default_factory=list)
    subdirs: list[str] = field(default_factory=list)
    version: str = ""
    build: str = ""
    built_from: datetime | None = None
    built_before: datetime | None = None


def check(rule: NewRule) -> None:
    """Raise BadPatch if a value is bad."""
    if not 0 < len(rule.title) <= TITLE_MAX_CHARACTERS or not rule.title.isprintable():
        raise BadPatch(
            f"Expected a title of one line, of 1 to {TITLE_MAX_CHARACTERS} characters: why the patch exists."
        )
    _check_globs(rule)
    _check_version(rule.version)
    if rule.built_from and rule.built_before and rule.built_from >= rule.built_before:
        raise BadPatch("No package is built in this period: it ends before it begins.")
    if not rule.changes:
        raise BadPatch("The patch changes nothing. State a change.")
    Checker().check(rule.changes)
    size_bytes = len(json.dumps(rule.changes).encode())
    if size_bytes > CHANGES_MAX_BYTES:
        raise BadPatch(
            f"The changes have {human_size(size_bytes)}; at most {human_size(CHANGES_MAX_BYTES)} are allowed."
        )


def _check_globs(rule: NewRule) -> None:
    if len(rule.names) > NAMES_MAX or len(rule.subdirs) > SUBDIRS_MAX:
        raise BadPatch(f"Expected at most {NAMES_MAX} package names and {SUBDIRS_MAX} platforms.")
    for name in rule.names:
        if len(name) > identifiers.NAME_MAX_CHARACTERS or not NAME_GLOB.match(name):
            raise BadPatch(f"{quote(name)} is no package name; expected the like of numpy, or of py*.")
    for subdir in rule.subdirs:
        if not identifiers.is_subdir(subdir):
            raise BadPatch(f"{quote(subdir)} is no platform; expected the like of linux-64 or noarch.")
    if rule.build and (len(rule.build) > BUILD_MAX_CHARACTERS or not BUILD_GLOB.match(rule.build)):
        raise BadPatch(f"{quote(rule.build)} is no build; expected the like of py311h1234567_0, or of py311*.")


def _check_version(version: str) -> None:
    if not version:
        return
    try:
        if len(version) > VERSION_MAX_CHARACTERS or not VERSION_SPEC.match(version):
            raise ValueError("unexpected characters")
        VersionSpec(version)
    except Exception as error:
        raise BadPatch(f"{quote(version)} is no version spec: {error}. Expected the like of '>=1.2,<2'.") from error
