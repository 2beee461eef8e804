"""Failed jobs, kept until they succeed or an administrator dismisses them. Workers report them by Celery's signals.

A job that Celery will retry, such as a mail, has not failed yet.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import AuditEvent, Channel
from hub.celery import send
from hub.observability.redaction import redacted
from publishing.models import FailedJob, SubdirIndex

ERROR_MAX_CHARACTERS = 500
NAME_MAX_CHARACTERS = 200  # the target of an audit event has at most 300
# Task → the rows to which its first argument, an id, refers.
ABOUT: dict[str, Callable[[], QuerySet[Any]]] = {
    "publishing.tasks.build_index": lambda: SubdirIndex.objects.select_related("channel"),
    "publishing.tasks.open_channel": Channel.objects.all,
    "publishing.tasks.verify_channel": Channel.objects.all,
    "channels_app.tasks.send_mail": AuditEvent.objects.all,
}
# Names for parts of a larger job's work, each with the id of that part.
NAMES_OF_WORK = ("publishing.tasks.build_index",)

logger = logging.getLogger(__name__)


def note_failure(sender: Any, exception: BaseException, args: Any = (), **_: Any) -> None:
    """Record the failure: receiver of task_failure, in the worker. Celery logs the traceback."""
    record_failure(sender.name, list(args or ()), exception)


def note_success(sender: Any, **_: Any) -> None:
    """Delete the record of the job's failure: receiver of task_success, in the worker.

    NAMES_OF_WORK are left out: their record is deleted when that part of the work succeeds.
    """
    if sender.name not in NAMES_OF_WORK:
        delete_record(sender.name, list(sender.request.args or ()))


def record_failure(task: str, args: list[Any], exception: BaseException) -> None:
    error = redacted(f"{type(exception).__name__}: {exception}")[:ERROR_MAX_CHARACTERS]
    try:
        _note(task, args, error)
    except DatabaseError as failure:
        logger.warning("could not record the failed job %s: %s", task, failure)


def delete_record(task: str, args: list[Any]) -> None:
    """Delete the record of a job that succeeded. Reads first: most jobs have no record, and a read is cheaper."""
    try:
        failed = FailedJob.objects.filter(task=task, args=args)
        if failed.exists():
            failed.delete()
    except DatabaseError as failure:
        logger.warning("could not delete the record of the failed job %s: %s", task, failure)


def retry(*, actor: Actor, jobs: QuerySet[FailedJob]) -> tuple[int, int]:
    """Enqueue the jobs again. Return how many were enqueued and how many were not. Each stays until it succeeds."""
    found = list(jobs)
    with transaction.atomic():
        for name, _ in named(found):
            log.record(Action.JOB_RETRY, by=actor, target=name)
    sent = sum(send(job.task, *job.args) for job in found)
    return sent, len(found) - sent


@transaction.atomic
def dismiss(*, actor: Actor, jobs: QuerySet[FailedJob]) -> int:
    """Delete the records of the jobs. Return their number."""
    found = list(jobs.select_for_update())
    for name, _ in named(found):
        log.record(Action.JOB_DISMISS, by=actor, target=name)
    FailedJob.objects.filter(pk__in=[job.pk for job in found]).delete()
    return len(found)


@transaction.atomic
def _note(task: str, args: list[Any], error: str) -> None:
    values = {"error": error, "failed_at": timezone.now()}
    job, is_new = FailedJob.objects.get_or_create(task=task, args=args, defaults=values)
    if not is_new:
        FailedJob.objects.filter(pk=job.pk).update(times=F("times") + 1, **values)


def named(jobs: Sequence[FailedJob]) -> list[tuple[str, FailedJob]]:
    """Return (name, job) pairs. A name is `build_index demo/noarch` or, if the row is gone, `build_index 7`."""
    ids = {task: [pk for job in jobs if job.task == task for pk in job.args[:1] if type(pk) is int] for task in ABOUT}
    rows = {f"{task} {pk}": row for task in ABOUT for pk, row in ABOUT[task]().in_bulk(ids[task]).items()}

    def name(job: FailedJob) -> str:
        row = rows.get(" ".join([job.task, *map(str, job.args[:1])]))
        words = [job.task.rpartition(".")[2], *([str(row)] if row else map(str, job.args))]
        return " ".join(words)[:NAME_MAX_CHARACTERS]

    return [(name(job), job) for job in jobs]
