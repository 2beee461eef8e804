"""Values of requests and answers: bodies with the conditions that the OpenAPI document states, times, user names."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator

MEMBERS_MAX = 100
YEAR = re.compile(r"\d{4}-")
# Databases and time zones have no room for the first and last years.
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Body(Schema):
    """The body of a request. A misspelt member would have no effect, so unknown members are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _bound_members(cls, values: Any) -> Any:
        """Refuse thousands of members at once: pydantic makes an error for each unknown one, which is slow."""
        if isinstance(values, dict) and len(values) > MEMBERS_MAX:
            raise ValueError(f"expected at most {MEMBERS_MAX} members")
        return values


def with_value(name: str) -> dict[str, Any]:
    """Return the JSON schema of an object whose member is neither left out nor empty."""
    return {"required": [name], "properties": {name: {"not": {"enum": ["", None]}}}}


def _begins_with_year(value: Any) -> Any:
    """Return the value. Raise ValueError for numbers, which pydantic would read as seconds since 1970."""
    if isinstance(value, str) and YEAR.match(value):
        return value
    raise ValueError("expected a time such as 2026-01-31T12:00:00Z")


def _comparable(at: datetime) -> datetime:
    """Return the next time that every database can compare. A time without an offset is UTC."""
    return min(max(at.replace(tzinfo=at.tzinfo or UTC), FIRST), LAST)


# A date or a time as ISO 8601 defines them.
Time = Annotated[datetime, BeforeValidator(_begins_with_year), AfterValidator(_comparable)]
# The name of a related user; null without one.
UserName = Annotated[str | None, BeforeValidator(lambda user: getattr(user, "username", user))]
