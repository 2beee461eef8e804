"""Variants on disk, each in a channel of its own with one package, which all oracles read."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publishing.index.repodata import LEFT_OUT
from tests.archives import index_json, paths_entry, tar_member
from tests.differential.files import MANIFEST, PYTHON_FOLDER
from tests.differential.shapes import INDEX, Shape, as_conda, as_json, as_tar_bz2

PYTHON = "python-3.12.1-0.conda"


@dataclass(frozen=True)
class Variant:
    """A package with one change, described by `layer` and `name`; `extension` is its format."""

    layer: str
    name: str
    shape: Shape
    extension: str
    file_name: str = ""

    @property
    def key(self) -> str:
        return f"{self.layer}: {self.name} ({self.extension})"

    @property
    def file(self) -> str:
        return self.file_name or self.shape.stem + self.extension

    @property
    def sha256(self) -> str:
        """The hash of all bytes that a client sees: the file and its index record."""
        return hashlib.sha256(self.content() + json.dumps(self.record()).encode()).hexdigest()

    def content(self) -> bytes:
        return as_conda(self.shape) if self.extension == ".conda" else as_tar_bz2(self.shape)

    def record(self) -> dict[str, Any]:
        """Return the index record: the keys of index.json, or of the good one if it can't be read."""
        try:
            index = json.loads(as_json(self.shape.index))
        except (ValueError, TypeError, RecursionError):
            index = None
        index = index if isinstance(index, dict) else INDEX
        return {key: value for key, value in index.items() if key not in LEFT_OUT} | {"subdir": self.shape.subdir}


def write(variants: list[Variant], folder: Path) -> None:
    """Write each variant as `NUMBER/SUBDIR/FILE` with its repodata.json, a channel with a python, and the manifest."""
    listed = []
    for number, variant in enumerate(variants):
        place = {"folder": str(number), "subdir": variant.shape.subdir, "file": variant.file}
        listed.append({"key": variant.key, "sha256": variant.sha256, **place})
        subdir = folder / str(number) / variant.shape.subdir
        _write_channel(subdir, variant.file, variant.content(), variant.record())
    index = index_json(name="python", version="3.12.1", subdir="linux-64")
    path = "bin/python3.12"
    shape = Shape(index, [paths_entry(path)], members=[tar_member(path, mode=0o755)], stem="python-3.12.1-0")
    _write_channel(folder / PYTHON_FOLDER / "linux-64", PYTHON, as_conda(shape), index)
    (folder / MANIFEST).write_text(json.dumps(listed))


def _write_channel(subdir: Path, file: str, content: bytes, index: dict[str, Any]) -> None:
    subdir.mkdir(parents=True)
    (subdir / file).write_bytes(content)
    facts: dict[str, Any] = {"md5": hashlib.md5(content, usedforsecurity=False).hexdigest()}
    facts |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    section = "packages.conda" if file.endswith(".conda") else "packages"
    repodata = {"info": {"subdir": subdir.name}, "packages": {}, "packages.conda": {}, "repodata_version": 1}
    repodata[section] = {file: index | facts}
    (subdir / "repodata.json").write_text(json.dumps(repodata))
