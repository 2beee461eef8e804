"""The fuzz test by hand: `python -m tests.fuzz.run [--seed N] [--cases N] [--first N] [--seconds N] [--keep FOLDER]`.

Without a seed it chooses one and prints it. A failing case is stored as a file, and printed with its changes.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from tests.fuzz.cases import case
from tests.fuzz.check import problem
from tests.fuzz.clients import Clients

MEMORY = Path("/dev/shm")
KEPT = Path(__file__).parents[2] / "build" / "fuzz"
REFUSED, TAKEN, WRONG = "refused", "taken", "wrong"


def run(seed: int, numbers: Iterable[int], ends_at: float, keep: Path) -> Counter[str]:
    """Try the cases until `ends_at`, and print the fault of each failing one."""
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        clients = Clients(Path(folder))
        for number in numbers:
            if time.monotonic() > ends_at:
                break
            draft = case(seed, number)
            path = Path(folder, draft.file_name)
            path.write_bytes(draft.as_bytes())
            # A client may abort this process, so write the current case first.
            (keep / "begun").write_text(f"{seed} {number} {draft.changes}\n")
            found = problem(path, clients)
            seen[REFUSED if found is None else WRONG if found else TAKEN] += 1
            if found:
                kept = keep / f"{seed}-{number}-{draft.file_name}"
                kept.write_bytes(path.read_bytes())
                sys.stdout.write(f"{kept}: {draft.subdir}: {draft.changes}: {found}\n")
    (keep / "begun").unlink(missing_ok=True)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--keep", type=Path, default=KEPT)
    chosen = parser.parse_args()
    chosen.keep.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"seed {chosen.seed}\n")
    sys.stdout.flush()
    numbers = count(chosen.first) if chosen.cases is None else range(chosen.first, chosen.first + chosen.cases)
    seen = run(chosen.seed, numbers, time.monotonic() + chosen.seconds, chosen.keep)
    sys.stdout.write(f"{dict(seen)}\n")
    sys.exit(bool(seen[WRONG]))


if __name__ == "__main__":
    main()
