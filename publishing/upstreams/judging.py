"""The clock of an upstream channel: when the hub first saw a record, and which records it hides. Without I/O.

A record that was first seen until `old_until` is old: no cooldown hides it. Times are in ms since 1970. Records get too
old at midnight UTC, so that names are judged again for it once a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from channels_app.packages import timestamps
from publishing import name_globs
from publishing.record_filters import Filters, older

DAY_MS = 24 * 3600 * 1000
WAITING, CHANGED, FILTERED = "waiting", "changed", "filtered"
TOO_OLD = "It is older than a filter allows."
OLDER_VERSION = "A filter keeps newer versions only."

FirstSeen = dict[str, list[Any]]  # file name → [SHA-256, ms]
Hidden = dict[str, list[Any]]  # file name → [reason, ms at which a cooldown ends, or a sentence]
Records = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a channel for one subdir. `exceptions`: globs of names without a cooldown.

    `max_age_ms` and `newest_versions`: 0: any.
    """

    subdir: str
    cooldown_ms: int
    exceptions: Sequence[str]
    old_until: int
    filters: Filters
    max_age_ms: int
    newest_versions: int

    def ends_ms(self, first_ms: int) -> int | None:
        """Return when a record that was first seen at `first_ms` gets too old, or None."""
        return -(-(first_ms + self.max_age_ms) // DAY_MS) * DAY_MS if self.max_age_ms else None

    def filtered(self, name: str, record: Mapping[str, Any], first_ms: int, now: int) -> str:
        """Return why a filter leaves out the record, or an empty string."""
        reason = self.filters.reason(name, self.subdir, record)
        ends = self.ends_ms(first_ms)
        return reason or (TOO_OLD if ends is not None and ends <= now else "")


def seen(first_seen: FirstSeen, found: Records, now: int, *, is_first_sync: bool) -> FirstSeen:
    """Return `first_seen` with the records that it lacks.

    In the first sync, `now` is its beginning, and a record has an earlier time if the upstream states one.
    """
    new = {
        file_name: [record["sha256"], min(now, _stated_ms(record) or now) if is_first_sync else now]
        for file_name, record in found.items()
        if file_name not in first_seen
    }
    return first_seen | new


def hidden(name: str, found: Records, first_seen: FirstSeen, rules: Rules, now: int) -> Hidden:
    """Return the records that are not listed."""
    is_excepted = name_globs.matches(name, rules.exceptions)
    cooldown_ms = 0 if is_excepted else rules.cooldown_ms
    reasons: Hidden = {}
    for file_name, record in found.items():
        sha256, first_ms = first_seen[file_name]
        ends = first_ms + cooldown_ms
        if record["sha256"] != sha256:
            reasons[file_name] = [CHANGED, "Its SHA-256 changed after the hub first saw it."]
        elif reason := rules.filtered(name, record, first_ms, now):
            reasons[file_name] = [FILTERED, reason]
        elif first_ms > rules.old_until and ends > now and cooldown_ms:
            reasons[file_name] = [WAITING, ends]
    return reasons | _older_versions(found, reasons, rules)


def _older_versions(found: Records, reasons: Hidden, rules: Rules) -> Hidden:
    """Return the records of versions beyond the newest ones. Only records that nothing else hides count as newest.

    So a cooldown never empties a name, and a record that waits pushes older versions out when it is listed.
    """
    if not rules.newest_versions:
        return {}
    judged = {
        file_name: record["version"]
        for file_name, record in found.items()
        if reasons.get(file_name, [WAITING])[0] == WAITING
    }
    listed = (version for file_name, version in judged.items() if file_name not in reasons)
    gone = older(listed, rules.newest_versions, judged.values())
    return {file_name: [FILTERED, OLDER_VERSION] for file_name, version in judged.items() if version in gone}


def due_ms(found: Records, first_seen: FirstSeen, reasons: Hidden, rules: Rules) -> int | None:
    """Return when the first cooldown ends or the first listed record gets too old, or None."""
    times = [text for reason, text in reasons.values() if reason == WAITING]
    times += [ends for each in found if each not in reasons and (ends := rules.ends_ms(first_seen[each][1]))]
    return min(times, default=None)


def _stated_ms(record: Mapping[str, Any]) -> int | None:
    """Return when the upstream says that it indexed or built the record."""
    return timestamps.stated_ms(record.get("indexed_timestamp")) or timestamps.stated_ms(record.get("timestamp"))


def minute_of(ms: int) -> str:
    """Return the minute of a time in ms, for messages."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
