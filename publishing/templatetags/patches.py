"""Template filters of patches: conditions and changes in words."""

import json
from collections.abc import Iterator
from typing import Any

from django import template

from channels_app.models import Artifact
from publishing.index.patching import LISTS
from publishing.models import Patch
from publishing.patches import previews, spec_lines
from publishing.patches.previews import RecordChange

register = template.Library()
# Of a change in the list, which may have 200 patches with thousands of lines each.
LINES_SHOWN = 20


@register.inclusion_tag("patches/record.html")
def patched_record(artifact: Artifact) -> dict[str, object]:
    """Show how the patches of the channel change the record of an artifact. A long index.json is left out."""
    return {"record": previews.of_artifact(artifact) if artifact.index_json else None}


@register.filter
def conditions(patch: Patch) -> list[str]:
    """Return the conditions of a rule, or the extent of imported instructions."""
    if patch.is_import:
        ignored = [f"{count:,} changes of {key} left out" for key, count in sorted(patch.ignored.items())]
        return [f"{patch.file_count:,} files of {patch.import_subdir}", *ignored]
    stated = [
        (" or ", patch.names),
        ("version ", patch.version),
        ("build ", patch.build),
        ("on ", ", ".join(patch.subdirs)),
        ("built from ", patch.built_from and f"{patch.built_from:%Y-%m-%d}"),
        ("built before ", patch.built_before and f"{patch.built_before:%Y-%m-%d}"),
    ]
    return [word.join(value) if isinstance(value, list) else f"{word}{value}" for word, value in stated if value]


@register.filter
def changes_in_words(patch: Patch) -> Iterator[tuple[str, list[str]]]:
    """Yield each key that a rule changes, with the lines of its change."""
    for key, change in patch.changes.items():
        if key in LISTS:
            lines = spec_lines.written(change).splitlines()
            more = [f"… and {len(lines) - LINES_SHOWN:,} more"] if len(lines) > LINES_SHOWN else []
            yield key, lines[:LINES_SHOWN] + more
        elif change is True:
            yield key, []
        else:
            yield key, ["none" if change is None else change if isinstance(change, str) else json.dumps(change)]


@register.filter
def keys_in_words(record: RecordChange) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each key of a record that changes, with its values before and after; of lists only the differing items."""
    for key, (before, after) in sorted(record.keys.items()):
        if isinstance(before, list) and isinstance(after, list):
            yield key, _rest(before, after), _rest(after, before)
        else:
            yield key, _in_words(before), _in_words(after)


def _rest(specs: list[str], without: list[str]) -> list[str]:
    return [spec for spec in specs if spec not in without]


def _in_words(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [value if isinstance(value, str) else json.dumps(value)]
