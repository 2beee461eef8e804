"""Template filters of the status page: durations for people."""

from django import template

from publishing.status import checks as state

register = template.Library()

register.filter("duration", state.duration)


@register.filter
def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


@register.filter
def behind(seconds: float) -> str:
    return f"{state.duration(seconds)} behind"
