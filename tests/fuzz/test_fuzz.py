"""The fuzz test with a fixed seed, about a quarter of a minute of one core: all clients unpack accepted packages alike.

`make fuzz` tries new cases for an hour. A finding becomes a test in tests/archive/test_*.py, and a corrected rule.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SEED = 12
CASES = 6_000
# With fewer accepted packages, the clients would be tested too little.
TAKEN_LEAST = 900
ROOT = Path(__file__).parents[2]
TIMEOUT_S = 1200

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("conda_package_streaming") is None and "CI" not in os.environ,
    reason="conda-package-streaming is not installed; `make test` installs it.",
)


def test_every_package_that_the_hub_takes_unpacked_alike_by_all_clients(tmp_path: Path) -> None:
    """Run the cases in another process, which a client may abort."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--seed", str(SEED), "--cases", str(CASES)]

    done = subprocess.run(
        [*command, "--keep", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )

    begun = tmp_path / "begun"
    assert done.returncode == 0, done.stdout + done.stderr + (begun.read_text() if begun.exists() else "")
    taken = re.search(r"'taken': ([0-9]+)", done.stdout)
    assert taken
    assert int(taken[1]) >= TAKEN_LEAST
