"""Template filters of the status page: durations for people; and its problems in short."""

from django import template

from publishing.status import checks as state
from publishing.status import queries

register = template.Library()

# Singular, plural and selection of what waits for an administrator.
WAITING = (
    ("failed job", "failed jobs", queries.failed_jobs),
    ("channel with differences", "channels with differences", queries.differing),
    ("issuer that does not answer", "issuers that do not answer", queries.failing_issuers),
    ("channel that is nearly full", "channels that are nearly full", queries.nearly_full),
)

register.filter("duration", state.duration)


@register.filter
def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


@register.filter
def behind(seconds: float) -> str:
    return f"{state.duration(seconds)} behind"


@register.inclusion_tag("status/problems.html")
def hub_problems() -> dict[str, list[str]]:
    """Show the numbers of things that wait for an administrator, by a query for each kind."""
    counts = [(one, many, select().count()) for one, many, select in WAITING]
    return {"found": [f"{number:,} {one if number == 1 else many}" for one, many, number in counts if number]}
