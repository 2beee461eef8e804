"""conda's verdicts on specs. Run it by hand with conda and the checkout on PYTHONPATH:

    python -m tests.specs.conda_verdicts VERSION < SPECS > known.tsv

SPECS are JSON strings, one per line; `python -m tests.specs.generator` writes random ones. The first line of the output
is conda's VERSION, which a checkout of conda doesn't know. Each other line is a spec, a tab, and conda's verdict.
"""

import json
import logging
import sys

from conda.models import match_spec  # type: ignore[import-not-found]
from conda.models.match_spec import MatchSpec  # type: ignore[import-not-found]

from tests.specs.probes import UNREADABLE, Probe, digest

# conda has a second parser for its rattler solver.
PARSERS = (match_spec._parse_spec_str, match_spec._parse_spec_str_v3)


def verdict(spec: str) -> str:
    """Return the verdict of both parsers, or UNREADABLE if they differ."""
    verdicts = set()
    for match_spec._parse_spec_str_dispatcher in PARSERS:
        match_spec._PARSE_CACHE.clear()
        verdicts.add(verdict_of_one_parser(spec))
    return verdicts.pop() if len(verdicts) == 1 else UNREADABLE


def verdict_of_one_parser(spec: str) -> str:
    try:
        parsed = MatchSpec(spec)
        place = {key: str(parsed._match_components[key]) for key in ("channel", "subdir") if key in parsed}
        return digest(spec, place, lambda probe: bool(parsed.match(record(probe) | place)))
    except Exception:  # noqa: BLE001 (after any error, conda does not read the spec)
        return UNREADABLE


def record(probe: Probe) -> dict[str, object]:
    return {"channel": "conda-forge", "subdir": "linux-64", **probe._asdict()}


def main() -> None:
    logging.disable()
    sys.stdout.write(f"conda {sys.argv[1]}\n")
    for line in sys.stdin:
        spec = json.loads(line)
        sys.stdout.write(f"{json.dumps(spec)}\t{verdict(spec)}\n")


if __name__ == "__main__":
    main()
