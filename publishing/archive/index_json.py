"""The checks of info/index.json (CEP 34, 43, 44, 45), which becomes the package's record in repodata."""

import json
import re
import time
from typing import Any

import rattler

from channels_app.packages import timestamps
from publishing import strict_json
from publishing.archive import identity, json_documents, paths, system_names
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.identity import FileName
from publishing.archive.limits import Limits
from publishing.archive.specs import SpecReader
from publishing.wording import quote

NAME = "info/index.json"

LEGACY_REVISION = 1
V3_REVISION = 3
V3_SCHEMA_VERSION = 3

NOARCH_KINDS = ("generic", "python")
NOARCH_SUBDIR = "noarch"
# conda's `arch` values of 2012, and the suffix of the subdir for each.
OLD_ARCHS = {"x86": "32", "x86_64": "64"}

# The values that conda accepts: its own names, and those of Python's sys.platform.
CONDA_VALUES = {
    "platform": (
        "linux",
        "osx",
        "win",
        "freebsd",
        "openbsd",
        "zos",
        "emscripten",
        "wasi",
        "win32",
        "darwin",
        "openbsd5",
    ),
    "package_type": ("noarch_generic", "noarch_python"),
}

# The number of values in all lists and objects. A million empty lists compress to a kilobyte, and take 26 MiB of
# memory in each reader of the index, that is in the hub and every client. The largest real records have hundreds.
VALUES_MAX = 10_000

FLAG = re.compile(r"[a-z0-9_]+(?::[a-z0-9_]+)?\Z")
EXTRA_GROUP = re.compile(r"[a-z0-9_.+-]{1,64}\Z")


def parse(data: bytes | None, file_name: FileName, limits: Limits, specs: SpecReader) -> dict[str, Any]:
    """Return the index with every key, checked also against the file name. Raise BadPackage if it is invalid."""
    if data is None:
        raise BadPackage(f"the archive has no {NAME}")
    index = json_documents.document_object(data, NAME, limits, "index_json_bytes")
    _check_values(index)
    _read_old_noarch(index)
    if index.get("subdir") is None:
        index["subdir"] = _old_subdir(index)
    _check_identity(index, file_name)
    _check_noarch(index)
    _check_timestamp(index, limits)
    _check_site_packages(index)
    _check_conda_types(index)
    _check_v3_fields(index)
    _check_specs(index, limits, specs)
    _check_stated_revision(index, specs)
    _check_rattler_reads(index)
    return index


def revision(index: dict[str, Any], specs: SpecReader) -> int:
    """Return the repodata revision that a checked index needs: 1, or 3 for CEP 43, 44 and 45.

    The rule is that of rattler's required_repodata_revision, and of CEP 43 for a schema_version of 3.
    """
    states_v3 = index.get("repodata_revision") == V3_REVISION or index.get("schema_version") == V3_SCHEMA_VERSION
    return V3_REVISION if states_v3 or _needs_v3(index, specs) else LEGACY_REVISION


def _needs_v3(index: dict[str, Any], specs: SpecReader) -> bool:
    if index.get("extra_depends") or index.get("flags"):
        return True
    return any(specs.read(spec).needs_v3 for key in ("depends", "constrains") for spec in index.get(key, ()))


def _check_values(index: dict[str, Any]) -> None:
    left = [iter(index.values())]
    count = 0
    while left:
        for value in left[-1]:
            count += 1
            if isinstance(value, dict | list):
                left.append(iter(value.values() if isinstance(value, dict) else value))
                break
        else:
            left.pop()
        if count > VALUES_MAX:
            raise BadPackage(
                f"{NAME} has more than {VALUES_MAX} values in its lists and objects; expected some hundreds"
            )


def _read_old_noarch(index: dict[str, Any]) -> None:
    """Replace old values of noarch by their meaning for clients: true is generic; false and '' mean no noarch."""
    noarch = index.get("noarch")
    if noarch is True:
        index["noarch"] = "generic"
    elif noarch is False or noarch == "":
        del index["noarch"]


def _old_subdir(index: dict[str, Any]) -> str:
    """Return the subdir of a package from before 2017, which has only platform and arch, both null for noarch.

    Some of these packages were converted to .conda files.
    """
    platform, arch = index.get("platform"), index.get("arch")
    if index.get("noarch") or (platform is None and arch is None):
        return NOARCH_SUBDIR
    if not isinstance(platform, str) or not isinstance(arch, str):
        raise BadPackage(f"{NAME} has neither a subdir nor both a platform and an arch to derive it from")
    return f"{platform}-{OLD_ARCHS.get(arch, arch)}"


def _check_identity(index: dict[str, Any], file_name: FileName) -> None:
    for key, expected in (("name", file_name.name), ("version", file_name.version), ("build", file_name.build)):
        if _required_string(index, key) != expected:
            raise BadPackage(
                f"{NAME} has the {key} {quote(index[key])}, but the file name has {quote(expected)}; "
                + _renamed(index, file_name)
            )
    identity.check_subdir(_required_string(index, "subdir"))
    if type(index.get("build_number")) is not int or index["build_number"] < 0:
        raise BadPackage(f"{NAME} has the build_number {_found(index, 'build_number')}; expected an integer from 0 on")


def _renamed(index: dict[str, Any], file_name: FileName) -> str:
    """Return the remedy for a file name that contradicts index.json.

    In a .conda file the names of the entries have agreed with the file name already, so that it wasn't renamed.
    """
    parts = [index.get(key) for key in ("name", "version", "build")]
    if file_name.extension == ".conda" or not all(isinstance(part, str) for part in parts):
        return "build the package again"
    if "-" in f"{parts[1]}{parts[2]}":
        return "a version or a build has no '-'; build the package again"
    return f"the file was renamed: rename it to {quote('-'.join(map(str, parts)) + file_name.extension)}"


def _check_noarch(index: dict[str, Any]) -> None:
    noarch = index.get("noarch")
    if noarch is None:
        return
    if noarch not in NOARCH_KINDS:
        raise BadPackage(f"{NAME} has the noarch {quote(noarch)}; expected 'generic' or 'python'")
    if index["subdir"] != NOARCH_SUBDIR:
        raise BadPackage(f"{NAME} has noarch, but the subdir {quote(index['subdir'])}; expected the subdir noarch")


def _check_timestamp(index: dict[str, Any], limits: Limits) -> None:
    timestamp = index.get("timestamp")
    if timestamp is None:
        return
    if type(timestamp) is not int or timestamp < 0:
        raise BadPackage(f"{NAME} has the timestamp {quote(timestamp)}; expected milliseconds since 1970")
    if timestamps.milliseconds(timestamp) > (time.time() + limits.clock_ahead_seconds) * 1000:
        raise BadPackage(
            f"{NAME} has the timestamp {timestamp}, which lies in the future; expected milliseconds, and clocks "
            f"within {limits.clock_ahead_seconds} s (clock_ahead_seconds in HUB_PACKAGE_LIMITS)"
        )


def _check_site_packages(index: dict[str, Any]) -> None:
    path = index.get("python_site_packages_path")
    if path is None:
        return
    segments = path.split("/") if isinstance(path, str) else [".."]
    is_plain = "" not in segments and not any(map(system_names.is_dot_segment, segments))
    if not is_plain or "\\" in path or ":" in path or system_names.case_folded(segments[0]) == paths.RESERVED_DIRECTORY:
        raise BadPackage(
            f"{NAME} has the python_site_packages_path {quote(path)}; expected a relative path without "
            "'..', such as 'lib/python3.13/site-packages'"
        )


def _check_conda_types(index: dict[str, Any]) -> None:
    """Refuse values on which conda fails, and which neither rattler nor another check of the hub refuses."""
    for key, allowed in CONDA_VALUES.items():
        value = index.get(key)
        if value is not None and value not in allowed:
            raise BadPackage(f"{NAME} has the {key} {quote(value)}; conda knows {', '.join(allowed)} and null")
    for key in ("features", "track_features"):
        if key in index and index[key] is None:
            raise BadPackage(f"{NAME} has null as {key}, which conda cannot read; expected a string, or no such key")
    for key in ("date", "preferred_env"):
        if isinstance(index.get(key), dict | list):
            raise BadPackage(f"{NAME} has {strict_json.kind(index[key])} as {key}; expected a string")


def _check_v3_fields(index: dict[str, Any]) -> None:
    schema_version = LEGACY_REVISION if index.get("schema_version") is None else index["schema_version"]
    if type(schema_version) is not int or not 0 <= schema_version <= V3_SCHEMA_VERSION:
        raise BadPackage(f"{NAME} has the schema_version {quote(schema_version)}; known are those up to 3")
    for flag in _strings(index, "flags"):
        if not FLAG.match(flag):
            raise BadPackage(f"{NAME} has the flag {quote(flag)}; expected the like of 'cuda' or 'blas:mkl' (CEP 45)")
    groups = index.get("extra_depends", {})
    if not isinstance(groups, dict):
        raise BadPackage(f"{NAME} has {strict_json.kind(groups)} as extra_depends; expected an object")
    for group in groups:
        if not EXTRA_GROUP.match(group):
            raise BadPackage(f"{NAME} has the group {quote(group)} in extra_depends, no name of CEP 44")


def _check_specs(index: dict[str, Any], limits: Limits, specs: SpecReader) -> None:
    groups: dict[str, Any] = index.get("extra_depends", {})
    entries = [(key, spec) for key in ("depends", "constrains") for spec in _strings(index, key)]
    entries += [(f"extra_depends.{group}", spec) for group in groups for spec in _strings(groups, group)]
    if len(entries) > limits.specs:
        raise over_limit(
            f"{NAME} has {len(entries)} entries in depends and constrains; at most {limits.specs} are allowed", "specs"
        )
    for key, spec in entries:
        if len(spec) > limits.spec_characters:
            raise over_limit(
                f"{NAME} has an entry of {len(spec)} characters in {key}; at most {limits.spec_characters} are allowed",
                "spec_characters",
            )
        if problem := specs.read(spec).problem:
            raise BadPackage(f"{NAME} has {quote(spec)} in {key}, but {problem}")


def _check_stated_revision(index: dict[str, Any], specs: SpecReader) -> None:
    """Refuse a stated repodata revision that is unknown or too low.

    rattler-build writes the key `repodata_revision`, with 0 for the legacy revision, and rattler trusts it.
    """
    stated = index.get("repodata_revision")
    if stated not in (None, 0, V3_REVISION):
        raise BadPackage(f"{NAME} has the repodata_revision {quote(stated)}; known are 0 and 3")
    if stated == 0 and _needs_v3(index, specs):
        raise BadPackage(f"{NAME} has the repodata_revision 0, but uses what needs revision 3 (CEP 43, 44, 45)")


def _check_rattler_reads(index: dict[str, Any]) -> None:
    """Check the types of all other keys with rattler, the strictest client: a bad record costs it the whole subdir."""
    try:
        rattler.package.IndexJson.from_str(json.dumps(index))
    except Exception as error:
        raise BadPackage(f"{NAME} is not as rattler reads it: {error}") from error


def _required_string(index: dict[str, Any], key: str) -> str:
    value = index.get(key)
    if not isinstance(value, str):
        raise BadPackage(f"{NAME} has the {key} {_found(index, key)}; expected a string")
    return value


def _strings(container: dict[str, Any], key: str) -> list[str]:
    """Return the list of strings at `key`, or an empty one if the key is missing."""
    value = container.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadPackage(f"{NAME} has {strict_json.kind(value)} as {key}; expected a list of strings")
    return value


def _found(index: dict[str, Any], key: str) -> str:
    return quote(index[key]) if key in index else "missing"
