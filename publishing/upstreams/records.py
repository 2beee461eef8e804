"""Checks of the records of an upstream. Without I/O."""

import re
from collections.abc import Mapping
from typing import Any

from publishing.archive import identity
from publishing.archive.errors import BadPackage
from publishing.index.upstream_records import NameRecords, Record

SHA256, MD5 = re.compile(r"[0-9a-f]{64}\Z"), re.compile(r"[0-9a-f]{32}\Z")
SIZE_MAX_BYTES = 2**40


def checked(name: str, raw: Mapping[str, Any]) -> NameRecords:
    """Split `raw`, file name → record as the upstream states it."""
    found = NameRecords({}, {})
    for file_name, record in raw.items():
        if reason := _fault(name, file_name, record):
            found.left_out[str(file_name)[:200]] = reason
        else:
            found.records[file_name] = _with_hex(record)
    return found


def of_shard(shard: Any) -> dict[str, Any]:
    """Return file name → record of a shard (CEP 16). Records of repodata revision 3 are not read."""
    return {**shard["packages"], **shard["packages.conda"]}


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


def _with_hex(record: Record) -> Record:
    """Return the record with checksums as text, as in JSON. Other bytes, which JSON can't hold, are left out."""
    md5 = _hex(record.get("md5"))
    kept = {key: value for key, value in record.items() if key != "md5" and not isinstance(value, bytes)}
    sidecar = _hex(record.get("attestations_sha256"))
    attested = {"attestations_sha256": sidecar} if SHA256.match(sidecar) else {}
    return kept | {"sha256": _hex(record["sha256"])} | ({"md5": md5} if MD5.match(md5) else {}) | attested


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return value.lower() if isinstance(value, str) else ""
