"""Records of one name of an upstream channel, for its page and the API: all of them, also those that are hidden.

They come from the hub's own rows, one of each subdir: no request goes to the upstream.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from channels_app.models import Channel
from channels_app.packages import packages
from channels_app.packages.queries import version_key
from publishing.index import upstream_records
from publishing.models import CachedFile, UpstreamName
from publishing.upstreams.queries import hidden_reason

LISTED = "listed"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record. `state`: LISTED or the reason for which it is hidden; `until`: when its cooldown ends."""

    subdir: str
    file_name: str
    version: str
    build: str
    build_number: int
    size_bytes: int
    sha256: str
    first_seen_at: datetime
    state: str
    text: str
    until: datetime | None
    is_cached: bool = False


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version with its subdirs and the numbers of its records."""

    version: str
    subdirs: Sequence[str]
    records: int
    hidden: int
    first_seen_at: datetime


def records(channel: Channel, name: str, *, version: str = "", subdir: str = "") -> list[FoundRecord]:
    """Return the records of a name, the newest version first, by one query. Whether they are cached is not looked up.

    The memory is that of one name, which polls bound.
    """
    rows = UpstreamName.objects.filter(index__channel=channel, name=name, record_count__gt=0).select_related("index")
    rows = rows.filter(index__subdir=subdir) if subdir else rows
    found = [each for row in rows.order_by("index__subdir") for each in _of(row) if version in ("", each.version)]
    found.sort(key=lambda each: (each.subdir, -each.build_number, each.file_name))
    places = {version: place for place, version in enumerate(_sorted({each.version for each in found}))}
    return sorted(found, key=lambda each: places[each.version])


def versions(found: Sequence[FoundRecord]) -> list[FoundVersion]:
    """Return the versions of these records, in their order."""
    of_version = defaultdict[str, list[FoundRecord]](list)
    for each in found:
        of_version[each.version].append(each)
    return [
        FoundVersion(
            version,
            sorted({each.subdir for each in some}),
            len(some),
            sum(each.state != LISTED for each in some),
            max(each.first_seen_at for each in some),
        )
        for version, some in of_version.items()
    ]


def with_cached(channel: Channel, found: Sequence[FoundRecord]) -> list[FoundRecord]:
    """Tell of each record whether the hub has its package, by one query. Give at most some hundred records."""
    names = {each.file_name for each in found}
    cached = CachedFile.objects.filter(channel=channel, subdir__in={each.subdir for each in found}, file_name__in=names)
    places = set(cached.filter(is_listed=True).values_list("subdir", "file_name"))
    return [replace(each, is_cached=(each.subdir, each.file_name) in places) for each in found]


def _sorted(found: set[str]) -> list[str]:
    return sorted(found, key=version_key, reverse=True)


def _of(row: UpstreamName) -> list[FoundRecord]:
    return [
        FoundRecord(
            row.index.subdir,
            file_name,
            record["version"],
            record["build"],
            _number(record.get("build_number")),
            record["size"],
            record["sha256"],
            packages.moment(row.first_seen[file_name][1]),
            *_state(row, file_name),
        )
        for file_name, record in upstream_records.unpack(row.records).records.items()
    ]


def _state(row: UpstreamName, file_name: str) -> tuple[str, str, datetime | None]:
    if file_name not in row.hidden:
        return LISTED, "", None
    return hidden_reason(*row.hidden[file_name])


def _number(stated: object) -> int:
    return stated if isinstance(stated, int) else 0
