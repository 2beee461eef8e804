"""The smaller documents under info/ (CEP 34): link.json, run_exports.json, about.json, and the old has_prefix."""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from publishing import strict_json
from publishing.archive import json_documents
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Limits
from publishing.archive.specs import SpecReader
from publishing.archive.tree import ABOUT_JSON, LINK_JSON, OLD_LINK_JSON, RUN_EXPORTS_JSON
from publishing.wording import quote

RUN_EXPORT_KINDS = ("noarch", "strong", "strong_constrains", "weak", "weak_constrains")
# The package's page shows the warnings. More of them wouldn't help its readers.
CHECKED_RUN_EXPORTS = 100

LINK_VERSION = 1
LINK_TYPES = ("python", "generic")
# Clients make a file in bin/ or Scripts/ from a command, and Python source from module and function.
# File names have at most 255 bytes. On Windows clients append "-script.py".
COMMAND = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,244}"
DOTTED = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
ENTRY_POINT = re.compile(rf" *{COMMAND} *= *{DOTTED} *: *{DOTTED} *\Z")


def check_link(found: Mapping[str, bytes], noarch_kind: str | None, limits: Limits) -> None:
    """Refuse a link.json, also under its old name, that a client can't read or that contradicts index.json."""
    for name in (LINK_JSON, OLD_LINK_JSON):
        if name in found:
            link = json_documents.document_object(found[name], name, limits, "link_json_bytes")
            _check_noarch_link(name, link, noarch_kind)


def _check_noarch_link(name: str, link: dict[str, Any], noarch_kind: str | None) -> None:
    version, noarch = link.get("package_metadata_version"), link.get("noarch")
    if type(version) is not int or version != LINK_VERSION:
        raise BadPackage(f"{name} has the package_metadata_version {quote(version)}; expected {LINK_VERSION}")
    if link.get("preferred_env") is not None:
        raise BadPackage(f"{name} has a preferred_env, which conda fails to install; build it without")
    if not isinstance(noarch, dict) or noarch.get("type") not in LINK_TYPES:
        raise BadPackage(f"{name} has the noarch {quote(noarch)}; expected an object with the type python or generic")
    if (noarch["type"] == "python") != (noarch_kind == "python"):
        raise BadPackage(
            f"{name} has the type {noarch['type']}, but index.json has the noarch {quote(noarch_kind)}: "
            "conda uses the first, rattler the second"
        )
    _check_entry_points(name, noarch.get("entry_points", []))


def _check_entry_points(name: str, entry_points: object) -> None:
    """Refuse entry points that could write to other places or run other code than the named function."""
    if not isinstance(entry_points, list):
        raise BadPackage(f"{name} has {strict_json.kind(entry_points)} as entry_points; expected a list")
    for entry_point in entry_points:
        if not isinstance(entry_point, str) or not ENTRY_POINT.match(entry_point):
            raise BadPackage(f"{name} has the entry point {quote(entry_point)}; expected 'command = module:function'")


def about(data: bytes | None, limits: Limits) -> tuple[dict[str, Any], str]:
    """Return info/about.json and a warning. An unreadable file is only a warning: no client needs it to install."""
    if data is None:
        return {}, ""
    try:
        return strict_json.loads_object(data, ABOUT_JSON, limits.about_json_bytes, limits.json_depth), ""
    except strict_json.NotStrictJson as error:
        return {}, f"{error.reason}: its page shows nothing of that document"


def run_exports(data: bytes | None, limits: Limits) -> dict[str, list[str]]:
    """Return the run exports in CEP 12's form, without empty lists.

    A bare list is conda-build's oldest form: all its entries are weak.
    """
    if data is None:
        return {}
    stated = json_documents.document(data, RUN_EXPORTS_JSON, limits, "run_exports_json_bytes")
    if isinstance(stated, list):
        stated = {"weak": stated}
    if stated is None:
        return {}
    if not isinstance(stated, dict):
        raise BadPackage(f"{RUN_EXPORTS_JSON} holds {strict_json.kind(stated)}; expected an object")
    kinds = [kind for kind in RUN_EXPORT_KINDS if stated.get(kind) is not None]
    exports = {kind: _specs(stated[kind], kind, limits) for kind in kinds}
    return {kind: specs for kind, specs in exports.items() if specs}


def run_export_warnings(exports: dict[str, list[str]], specs: SpecReader) -> Iterator[str]:
    """Yield a warning for each run export that conda and rattler read differently."""
    entries = ((kind, spec) for kind, specs_of_kind in exports.items() for spec in specs_of_kind)
    for kind, spec in islice(entries, CHECKED_RUN_EXPORTS):
        if problem := specs.read(spec).problem:
            yield f"{RUN_EXPORTS_JSON} has {quote(spec)} in {kind}, but {problem}"


def prefix_modes(has_prefix: bytes | None) -> set[str]:
    """Return the file modes in info/has_prefix.

    A line is `placeholder mode path`, or only a path, which means the mode text.
    """
    modes = set()
    for line in (has_prefix or b"").splitlines():
        words = line.split(maxsplit=2)
        modes.add("binary" if len(words) == 3 and words[1] == b"binary" else "text")
    return modes


def _specs(value: object, kind: str, limits: Limits) -> list[str]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list) or not all(isinstance(spec, str) for spec in entries):
        raise BadPackage(f"{RUN_EXPORTS_JSON} has {strict_json.kind(value)} as {kind}; expected a list of strings")
    if len(entries) > limits.specs or any(len(spec) > limits.spec_characters for spec in entries):
        raise over_limit(
            f"{RUN_EXPORTS_JSON} has too much in {kind}: at most {limits.specs} entries "
            f"of {limits.spec_characters} characters are allowed",
            *("specs", "spec_characters"),
        )
    return entries
