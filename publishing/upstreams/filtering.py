"""Filters of an upstream channel: which of its stored records clients see.

A change costs no request to the upstream, and records that come back keep the time at which the hub first saw them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from publishing.record_filters import BadSpecError, Filters, check_newest_versions

MAX_AGE_DAYS_MAX = 36_500


@dataclass(frozen=True, slots=True)
class FilterTexts:
    """The filters as they are entered.

    `max_age_days`: since the hub first saw a record; `newest_versions`: of each name and platform. None: any.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    licenses: Sequence[str] = ()
    excluded_licenses: Sequence[str] = ()
    max_age_days: int | None = None
    newest_versions: int | None = None

    def compiled(self) -> Filters:
        """Return the filters without the age and the number of versions. Raise BadSpecError."""
        return Filters.of(self.include, self.exclude, self.licenses, self.excluded_licenses)

    def checked(self) -> dict[str, Any]:
        """Return the values to store, those that restrict something. Raise BadSpecError."""
        self.compiled()
        if self.max_age_days is not None and not 1 <= self.max_age_days <= MAX_AGE_DAYS_MAX:
            raise BadSpecError(f"The most days are {self.max_age_days}; expected 1 to {MAX_AGE_DAYS_MAX}.")
        check_newest_versions(self.newest_versions)
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if isinstance(value, int) else list(value) for name, value in values.items() if value}


def texts(stored: Mapping[str, Any]) -> FilterTexts:
    """Return the stored filters."""
    return FilterTexts(**stored)


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the filters that differ, before and after."""
    names = sorted({*before, *after})
    return {
        name: {"from": before.get(name), "to": after.get(name)} for name in names if before.get(name) != after.get(name)
    }
