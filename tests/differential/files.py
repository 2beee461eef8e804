"""Paths of the variants and their verdicts. Standard library only: conda's virtual environment imports it, too."""

import json
from pathlib import Path
from typing import Any

# In the folder of variants: their manifest, and the channel of a python for noarch packages.
MANIFEST = "variants.json"
PYTHON_FOLDER = "python"
VERDICTS = Path(__file__).with_name("verdicts")


def save(name: str, versions: dict[str, str], variants: dict[str, dict[str, Any]]) -> None:
    """Write verdicts to verdicts/NAME.json, one line per variant."""
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(verdict)}" for key, verdict in variants.items())
    (VERDICTS / f"{name}.json").write_text(f'{{"versions": {json.dumps(versions)}, "variants": {{\n{lines}\n}}}}\n')


def kept(name: str) -> dict[str, dict[str, Any]]:
    """Return the verdicts in verdicts/NAME.json by the keys of the variants."""
    variants: dict[str, dict[str, Any]] = json.loads((VERDICTS / f"{name}.json").read_text())["variants"]
    return variants


def kept_versions(name: str) -> dict[str, str]:
    """Return the versions of the programs that made these verdicts."""
    versions: dict[str, str] = json.loads((VERDICTS / f"{name}.json").read_text())["versions"]
    return versions
