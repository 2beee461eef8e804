"""The hub's verdict on each variant. `python -m tests.differential.hub_oracle FOLDER COMMIT` stores it.

With another commit's `publishing` on the path it stores that commit's verdict: verdicts/hub_53b05ad.json.
"""

import json
import sys
from pathlib import Path
from typing import Any

from publishing.archive.reader import BadPackage, read
from tests.differential.files import MANIFEST, save


def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return by the key of each variant its warnings, or the reason of the refusal."""
    listed = json.loads((folder / MANIFEST).read_text())
    return {each["key"]: outcome(folder / each["folder"] / each["subdir"] / each["file"]) for each in listed}


def outcome(path: Path) -> dict[str, Any]:
    try:
        info = read(path, path.name)
    except BadPackage as bad:
        return {"refused": bad.reason}
    return {"taken": list(info.warnings)}


if __name__ == "__main__":
    save(f"hub_{sys.argv[2]}", {"commit": sys.argv[2]}, outcomes(Path(sys.argv[1])))
