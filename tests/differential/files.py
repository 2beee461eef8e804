"""Paths of the variants and their verdicts. Standard library alone: conda's virtual environment imports it, too."""

import json
from pathlib import Path
from typing import Any

# In the folder of variants: the list of them, and the channel of a python to install noarch packages for.
MANIFEST = "variants.json"
PYTHON_FOLDER = "python"
VERDICTS = Path(__file__).with_name("verdicts")


def save(name: str, versions: dict[str, str], variants: dict[str, dict[str, Any]]) -> None:
    """Verdicts as verdicts/NAME.json, a line for each variant."""
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(verdict)}" for key, verdict in variants.items())
    (VERDICTS / f"{name}.json").write_text(f'{{"versions": {json.dumps(versions)}, "variants": {{\n{lines}\n}}}}\n')


def kept(name: str) -> dict[str, dict[str, Any]]:
    """The verdicts in verdicts/NAME.json, each variant's by its key."""
    variants: dict[str, dict[str, Any]] = json.loads((VERDICTS / f"{name}.json").read_text())["variants"]
    return variants


def kept_versions(name: str) -> dict[str, str]:
    """Of what made these verdicts."""
    versions: dict[str, str] = json.loads((VERDICTS / f"{name}.json").read_text())["versions"]
    return versions
