"""prometheus_client's internal names, behind functions of the hub. A test in tests/hub fails if one changes."""

import os
from pathlib import Path

from prometheus_client import values


def share_values(folder: Path, name: str) -> None:
    """Store the values of metrics in files in `folder` named by `name` and the process id.

    prometheus_client reads the environment once, when it is imported, and names files by the process id alone. Two
    machines with one folder have processes with one id.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: f"{name}-{os.getpid()}")  # type: ignore[no-untyped-call]
