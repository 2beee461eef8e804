"""The table of variants in docs/package-checks.md: `python -m tests.differential.report` writes it again.

A row holds the variants of one layer with equal verdicts of all programs.
"""

import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.differential import hub_oracle, rattler_oracle
from tests.differential.channel import write
from tests.differential.files import kept, kept_versions
from tests.differential.rule import Verdicts
from tests.differential.variants import LAYERS, every

PAGE = Path(__file__).parents[2] / "docs" / "package-checks.md"
# The heading of the page's last section, which this module writes.
HEADING = "\n## Variants\n"
BEFORE = "hub_53b05ad"
MEMORY = Path("/dev/shm")
SPECIAL = re.compile(r"[\\|<>*_`\[\]~^]")
LEAD = """
{count} variants of a good package, one thing changed in each, are made by code (`tests/differential`), most of them
as `.conda` and as `.tar.bz2`. conda {conda} with conda-package-handling {handling} and py-rattler {rattler} installed
each one. The installed trees were compared: paths, bytes, modes, link targets. The hub takes what both install alike,
with a warning where rattler reads it only over HTTP, and refuses the rest. "because" says why the hub is stricter
where it is.

"alike": both install the same files. "differ": both install, but not the same. "fail": neither installs. "conda",
"rattler": it alone does. The hub's verdict is that of now, after that of commit 53b05ad where it has changed.

The test compares with conda's kept verdicts. To ask conda anew, give a virtual environment conda's dependencies and
conda-package-handling, and put conda's sources and the checkout on its path:

```
python -m tests.differential.variants /tmp/variants
PYTHONPATH=CONDA_SOURCES:. CONDA_PYTHON -m tests.differential.conda_oracle /tmp/variants VERSION
python -m tests.differential.report
```
"""


def verdicts() -> list[Verdicts]:
    """Return the verdicts on every variant: stored ones of conda and the former hub, and new ones."""
    variants, conda, before = every(), kept("conda"), kept(BEFORE)
    # In memory, since tens of thousands of small files are written and deleted.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        written, scratch = Path(folder, "variants"), Path(folder, "scratch")
        written.mkdir()
        scratch.mkdir()
        write(variants, written)
        rattler = rattler_oracle.outcomes(written, scratch)
        now = hub_oracle.outcomes(written)
    return [
        Verdicts(
            variant,
            conda=conda.get(variant.key, {}),
            http=rattler[variant.key]["http"],
            file=rattler[variant.key]["file"],
            before=before.get(variant.key, {}),
            now=now[variant.key],
        )
        for variant in variants
    ]


def section(found: list[Verdicts]) -> str:
    """Return the section below the heading: an introduction, and a table for each layer."""
    rows: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for each in found:
        cells = (_clients(each), _hub(each), each.exception)
        rows[(each.variant.layer, *cells)][each.variant.name].add(each.variant.extension)
    versions = kept_versions("conda")
    lead = LEAD.format(
        count=f"{len(found):,}",
        conda=versions["conda"],
        handling=versions["conda-package-handling"],
        rattler=version("py-rattler"),
    )
    return lead + "".join(_lines(rows))


def _lines(rows: dict[tuple[str, ...], dict[str, set[str]]]) -> Iterator[str]:
    layer, of_layer = "", set[str]()
    for (row_layer, *cells), named in sorted(rows.items(), key=lambda row: LAYERS.index(row[0][0])):
        if row_layer != layer:
            layer = row_layer
            of_layer = set.union(
                *(formats for row, each in rows.items() if row[0] == layer for formats in each.values())
            )
            yield f"\n**{layer[0].upper()}{layer[1:]}**{_only(of_layer)}\n\n"
            yield "| variants | clients | hub | because |\n| --- | --- | --- | --- |\n"
        names = "; ".join(_escaped(name) + _only(formats, of_layer) for name, formats in sorted(named.items()))
        yield f"| {names} | {' | '.join(cells)} |\n"


def _only(formats: set[str], of: Iterable[str] = (".conda", ".tar.bz2")) -> str:
    return "" if formats == set(of) else f" ({next(iter(formats))})"


def _escaped(name: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", name)


def _clients(each: Verdicts) -> str:
    match "tree" in each.conda, "tree" in each.http:
        case True, True if each.is_odd:
            return "alike, but rattler not from `file://`"
        case True, True:
            return "alike" if each.is_alike else "differ"
        case True, False:
            return "conda"
        case False, True:
            return "rattler"
    return "fail"


def _hub(each: Verdicts) -> str:
    before, now = _verdict(each.before), _verdict(each.now)
    return now if before == now else f"{before} → {now}" if before else now


def _verdict(found: dict[str, Any]) -> str:
    if not found:
        return ""
    return "refused" if "refused" in found else "warned" if found["taken"] else "taken"


def in_page(page: str) -> str:
    return page.partition(HEADING)[2]


def main() -> None:
    found = verdicts()
    for each in found:
        if each.fault:
            sys.stderr.write(f"{each.variant.key}: {each.fault}\n")
    page = PAGE.read_text()
    PAGE.write_text(page.partition(HEADING)[0] + HEADING + section(found))


if __name__ == "__main__":
    main()
