"""The outbox: outgoing messages, each a row that is written in the transaction of its event. Jobs only wake it.

A row is deleted when its message has been sent. A failed message is retried for about an hour. Later messages of its
lane wait meanwhile; other lanes continue. A mail that the server refuses permanently is given up at once. A mail beyond
a rate limit waits for the next window.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

from celery import current_app
from celery.signals import task_failure
from django.db import DatabaseError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels_app.models import Outgoing
from hub.celery import wake
from hub.errors import HubError
from hub.locks import try_lock

WAKE_UP = "channels_app.tasks.tell_waiting"
RETRY_S = 60
RETRIES_MAX = 6
AT_ONCE = 50
# Each failure may take as long as the mail server's timeout.
FAILURES_AT_ONCE_MAX = 3
# RFC 5321, 4.2.1: replies from 500 are permanent. 421: the server closes the connection.
PERMANENT = 500
CLOSES = 421
# A job ends after this time and enqueues another one, so that jobs of other kinds are not delayed.
JOB_S = 5.0

Senders = Mapping[str, Callable[..., object]]

logger = logging.getLogger(__name__)


def put(task: str, *args: int, lane: str) -> None:
    """Enqueue a message: call the sender of `task` with `args` after the commit."""
    Outgoing.objects.create(task=task, args=[*args], lane=lane)
    transaction.on_commit(partial(wake, WAKE_UP))


def due() -> QuerySet[Outgoing]:
    """Select the messages to send now. A lane waits behind its failed message; lanes that failed come last."""
    now = timezone.now()
    waiting = Outgoing.objects.filter(due_at__gt=now).values("lane")
    failed = Outgoing.objects.filter(tries__gt=0).values("lane")
    ready = Outgoing.objects.filter(due_at__lte=now).exclude(lane__in=waiting)
    return ready.annotate(has_failed=Q(lane__in=failed)).order_by("has_failed", "pk")


def send_due(senders: Senders) -> None:
    """Send the messages that are due, under a lock for the whole hub.

    Otherwise two workers could send a mail twice or out of order.
    """
    ends = time.monotonic() + JOB_S
    while due().exists():
        if time.monotonic() > ends:
            wake(WAKE_UP)
            return
        with try_lock("outbox") as is_locked:
            if not is_locked or not _send_some(senders, ends):
                return


def _send_some(senders: Senders, ends: float) -> bool:
    """Send a batch; return False if the server accepts no mails at present.

    The schedule then sends the rest later.
    """
    failures = 0
    blocked: set[str] = set()
    for row in due()[:AT_ONCE]:
        if time.monotonic() > ends:
            return True
        if row.lane in blocked:
            continue
        if error := _send(senders, row):
            blocked.add(row.lane)
            failures += _server_takes_no_mail(error)
            if failures >= FAILURES_AT_ONCE_MAX:
                return False
    return True


def _send(senders: Senders, row: Outgoing) -> Exception | None:
    """Send one message; return the error if it failed."""
    try:
        senders[row.task](*row.args)
    except OSError as error:
        _postpone(row, error)
        return error
    except DatabaseError:
        raise
    except HubError as error:
        _wait(row, error)
        return error
    except Exception as error:
        logger.exception("%s can't be sent", row)
        _give_up(row, error)
        return error
    row.delete()
    return None


def _postpone(row: Outgoing, error: OSError) -> None:
    """Schedule a retry, or give up if the error is permanent or the retries are used up."""
    logger.warning("%s was not sent: %s", row, error)
    if _is_refused_for_good(error) or row.tries >= RETRIES_MAX:
        _give_up(row, error)
    else:
        wait = timedelta(seconds=RETRY_S * 2**row.tries)
        Outgoing.objects.filter(pk=row.pk).update(tries=row.tries + 1, due_at=timezone.now() + wait)


def _wait(row: Outgoing, error: HubError) -> None:
    """Postpone the row to the next window of its rate limit. That does not count as a failure."""
    logger.warning("%s waits: %s", row, error)
    wait = timedelta(seconds=int(error.headers.get("Retry-After", RETRY_S)))
    Outgoing.objects.filter(pk=row.pk).update(due_at=timezone.now() + wait)


def _is_refused_for_good(error: OSError) -> bool:
    """Tell whether the server refuses this recipient or this message permanently.

    A refused sender or password does not count: it is an error of the settings.
    """
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, SMTPDataError) and error.smtp_code >= PERMANENT


def _server_takes_no_mail(error: Exception) -> bool:
    """Tell whether other mails would fail, too. The refusal of one recipient does not affect others."""
    if isinstance(error, SMTPRecipientsRefused):
        return any(code == CLOSES for code, _ in error.recipients.values())
    return isinstance(error, OSError) and not _is_refused_for_good(error)


def _give_up(row: Outgoing, error: Exception) -> None:
    """Turn the message into a failed job, which administrators can see and retry."""
    row.delete()
    task: Any = current_app.tasks[row.task]
    task_failure.send(sender=task, task_id="", exception=error, args=row.args, kwargs={}, traceback=None, einfo=None)
