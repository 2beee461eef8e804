"""Failed jobs, kept until they succeed or somebody puts them away. Workers tell of them by Celery's signals.

A job that Celery will try again by itself, as a mail's, has not failed yet.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import AuditEvent, Channel
from hub.celery import send
from hub.observability.redaction import redacted
from publishing.models import FailedJob, SubdirIndex

ERROR_MAX_CHARACTERS = 500
NAME_MAX_CHARACTERS = 200  # an audit event, which keeps it as its target, takes 300
# What the first argument of a job is the id of.
ABOUT: dict[str, Callable[[], QuerySet[Any]]] = {
    "publishing.tasks.build_index": lambda: SubdirIndex.objects.select_related("channel"),
    "publishing.tasks.open_channel": Channel.objects.all,
    "publishing.tasks.verify_channel": Channel.objects.all,
    "channels_app.tasks.send_mail": AuditEvent.objects.all,
}
# Jobs that stand for one piece of a larger job's work, each with that piece's id.
NAMES_OF_WORK = ("publishing.tasks.build_index",)

logger = logging.getLogger(__name__)


def note_failure(sender: Any, exception: BaseException, args: Any = (), **_: Any) -> None:
    """Receiver of task_failure, in the worker, whose log Celery tells the whole trace."""
    note(sender.name, list(args or ()), exception)


def note_success(sender: Any, **_: Any) -> None:
    """Receiver of task_success, in the worker. A job that names what others do is forgotten when that is done."""
    if sender.name not in NAMES_OF_WORK:
        forget(sender.name, list(sender.request.args or ()))


def note(task: str, args: list[Any], exception: BaseException) -> None:
    error = redacted(f"{type(exception).__name__}: {exception}")[:ERROR_MAX_CHARACTERS]
    try:
        _note(task, args, error)
    except DatabaseError as trouble:
        logger.warning("the failed job %s was not noted: %s", task, trouble)


def forget(task: str, args: list[Any]) -> None:
    """It has succeeded. Most have not failed before, and reading costs less than writing."""
    try:
        failed = FailedJob.objects.filter(task=task, args=args)
        if failed.exists():
            failed.delete()
    except DatabaseError as trouble:
        logger.warning("the job %s succeeded, which was not noted: %s", task, trouble)


def retry(*, actor: Actor, jobs: QuerySet[FailedJob]) -> tuple[int, int]:
    """Send the jobs again: how many, and how many the queue did not take. Each stays until it has succeeded."""
    found = list(jobs)
    with transaction.atomic():
        for name, _ in named(found):
            log.record("job.retry", by=actor, target=name)
    sent = sum(send(job.task, *job.args) for job in found)
    return sent, len(found) - sent


@transaction.atomic
def dismiss(*, actor: Actor, jobs: QuerySet[FailedJob]) -> int:
    """Forget the jobs: how many."""
    found = list(jobs.select_for_update())
    for name, _ in named(found):
        log.record("job.put_away", by=actor, target=name)
    FailedJob.objects.filter(pk__in=[job.pk for job in found]).delete()
    return len(found)


@transaction.atomic
def _note(task: str, args: list[Any], error: str) -> None:
    values = {"error": error, "failed_at": timezone.now()}
    job, is_new = FailedJob.objects.get_or_create(task=task, args=args, defaults=values)
    if not is_new:
        FailedJob.objects.filter(pk=job.pk).update(times=F("times") + 1, **values)


def named(jobs: Sequence[FailedJob]) -> list[tuple[str, FailedJob]]:
    """Each after its name, as `build_index demo/noarch`; by its arguments, `build_index 7`, where that row is gone."""
    ids = {task: [pk for job in jobs if job.task == task for pk in job.args[:1] if type(pk) is int] for task in ABOUT}
    rows = {f"{task} {pk}": row for task in ABOUT for pk, row in ABOUT[task]().in_bulk(ids[task]).items()}

    def name(job: FailedJob) -> str:
        row = rows.get(" ".join([job.task, *map(str, job.args[:1])]))
        words = [job.task.rpartition(".")[2], *([str(row)] if row else map(str, job.args))]
        return " ".join(words)[:NAME_MAX_CHARACTERS]

    return [(name(job), job) for job in jobs]
