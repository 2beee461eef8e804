"""Failed jobs, kept until they succeed or somebody puts them away. Workers tell of them by Celery's signals.

A job that Celery will try again by itself, as a mail's, has not failed yet.
"""

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from channels_app import audit
from channels_app.access import Actor
from hub.celery import send
from hub.redaction import redacted
from publishing.models import FailedJob

ERROR_MAX_CHARACTERS = 500

logger = logging.getLogger(__name__)


def note_failure(sender: Any, exception: BaseException, args: Any = (), **_: Any) -> None:
    """Receiver of task_failure, in the worker, whose log Celery tells the whole trace."""
    error = redacted(f"{type(exception).__name__}: {exception}")[:ERROR_MAX_CHARACTERS]
    try:
        _note(sender.name, list(args or ()), error)
    except DatabaseError as trouble:
        logger.warning("the failed job %s was not noted: %s", sender.name, trouble)


def note_success(sender: Any, **_: Any) -> None:
    """Receiver of task_success, in the worker."""
    try:
        FailedJob.objects.filter(task=sender.name, args=list(sender.request.args or ())).delete()
    except DatabaseError as trouble:
        logger.warning("the job %s succeeded, which was not noted: %s", sender.name, trouble)


def retry(*, actor: Actor, jobs: QuerySet[FailedJob]) -> tuple[int, int]:
    """Send the jobs again: how many, and how many the queue did not take. Each stays until it has succeeded."""
    found = list(jobs)
    with transaction.atomic():
        for job in found:
            audit.record("job.retry", by=actor, target=named(job))
    sent = sum(send(job.task, *job.args) for job in found)
    return sent, len(found) - sent


@transaction.atomic
def put_away(*, actor: Actor, jobs: QuerySet[FailedJob]) -> int:
    """Forget the jobs: how many."""
    found = list(jobs.select_for_update())
    for job in found:
        audit.record("job.put_away", by=actor, target=named(job))
    FailedJob.objects.filter(pk__in=[job.pk for job in found]).delete()
    return len(found)


@transaction.atomic
def _note(task: str, args: list[Any], error: str) -> None:
    values = {"error": error, "failed_at": timezone.now()}
    job, is_new = FailedJob.objects.get_or_create(task=task, args=args, defaults=values)
    if not is_new:
        FailedJob.objects.filter(pk=job.pk).update(times=F("times") + 1, **values)


def named(job: FailedJob) -> str:
    """`build_index 7`"""
    return " ".join([job.task.rpartition(".")[2], *map(str, job.args)])
