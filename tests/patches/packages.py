"""Patch packages and instructions in tests."""

import io
import json
import tarfile
import zipfile
from typing import Any

import zstandard


def instructions(version: int = 1, **sections: Any) -> dict[str, Any]:
    return {"patch_instructions_version": version, "packages": {}, "revoke": [], "remove": []} | sections


def encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def tar_bz2(files: dict[str, bytes]) -> bytes:
    """Return a .tar.bz2 as Python's tarfile writes it, which conda-index reads."""
    return _tar(files, "w:bz2")


def conda(files: dict[str, bytes], stem: str = "patches-1.0-0") -> bytes:
    """Return a .conda file with these files in its pkg part."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        for kind, inside in (("info", {"info/index.json": b"{}"}), ("pkg", files)):
            archive.writestr(f"{kind}-{stem}.tar.zst", zstandard.compress(_tar(inside, "w:")))
    return content.getvalue()


def _tar(files: dict[str, bytes], mode: Any) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
