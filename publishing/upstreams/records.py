"""Checks of the records of an upstream. Without I/O."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from hub.sizes import KIB
from publishing.archive import identity
from publishing.archive.documents import RUN_EXPORT_KINDS
from publishing.archive.errors import BadPackage
from publishing.index.upstream_records import NameRecords, Record
from publishing.upstreams.json_index import EXTENSIONS, placed

SHA256, MD5 = re.compile(r"[0-9a-f]{64}\Z"), re.compile(r"[0-9a-f]{32}\Z")
SIZE_MAX_BYTES = 2**40
RUN_EXPORTS_MAX_BYTES = 64 * KIB
# They are left out if they are wrong.
CHECKED = ("md5", "run_exports")


def checked(name: str, raw: Mapping[str, Any]) -> NameRecords:
    """Split `raw`, file name → record as the upstream states it."""
    found = NameRecords({}, {})
    for file_name, record in raw.items():
        if reason := _fault(name, file_name, record):
            found.left_out[str(file_name)[:200]] = reason
        else:
            found.records[file_name] = _usable(record)
    return found


def of_shard(shard: Any) -> dict[str, Any]:
    """Return file name → record of a shard (CEP 16, CEP 48). Raise KeyError or TypeError if it is none."""
    revision_3 = {**shard.get("v3", {})}
    sections = ((f".{extension}", {**revision_3.get(extension, {})}) for extension in EXTENSIONS)
    in_v3 = {f"{key}{suffix}": placed(record, 3) for suffix, found in sections for key, record in found.items()}
    others = {**shard["packages"], **shard["packages.conda"]}
    return in_v3 | {file_name: placed(record, 1) for file_name, record in others.items()}


def _fault(name: str, file_name: Any, record: Any) -> str:
    """Return why the record can't be used, or an empty string."""
    try:
        parsed = identity.parse_file_name(file_name)
    except BadPackage as error:
        return str(error)
    except (TypeError, AttributeError):
        return "its key is no file name"
    if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
        return "it is no object"
    if parsed.name != name or record.get("name") != name:
        return f"it is not of the package {name}"
    if record.get("version") != parsed.version or record.get("build") != parsed.build:
        return "its version or build differs from the file name's"
    if not SHA256.match(_hex(record.get("sha256"))):
        return "it has no SHA-256, so the package can't be verified"
    size_bytes = record.get("size")
    if type(size_bytes) is not int or not 0 < size_bytes < SIZE_MAX_BYTES:
        return "it has no size"
    return ""


def run_exports(stated: Any) -> dict[str, list[str]] | None:
    """Return the run exports of a file in CEP 12's form, or None if clients could not read them."""
    if not isinstance(stated, dict):
        return None
    kept = {kind: stated[kind] for kind in RUN_EXPORT_KINDS if stated.get(kind)}
    for specs in kept.values():
        if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
            return None
    try:
        return kept if len(orjson.dumps(kept)) <= RUN_EXPORTS_MAX_BYTES else None
    except TypeError:  # half of a surrogate pair
        return None


def _usable(record: Record) -> Record:
    """Return the record with checksums as text, as in JSON, without other bytes and without wrong run exports."""
    md5, exports = _hex(record.get("md5")), run_exports(record.get("run_exports"))
    kept = {key: value for key, value in record.items() if key not in CHECKED and not isinstance(value, bytes)}
    exported = {} if exports is None else {"run_exports": exports}
    sidecar = _hex(record.get("attestations_sha256"))
    attested = {"attestations_sha256": sidecar} if SHA256.match(sidecar) else {}
    return kept | {"sha256": _hex(record["sha256"])} | ({"md5": md5} if MD5.match(md5) else {}) | attested | exported


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.lower() if isinstance(value, str) else ""
