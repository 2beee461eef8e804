"""Filters of the status page: spans of time and jobs in words."""

from django import template

from publishing.models import FailedJob
from publishing.operations import jobs
from publishing.operations import status as state

register = template.Library()

register.filter("duration", state.duration)


@register.filter
def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


@register.filter
def behind(seconds: float) -> str:
    return f"{state.duration(seconds)} behind"


@register.filter
def job_name(job: FailedJob) -> str:
    return jobs.named(job)
