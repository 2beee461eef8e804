"""Messages that wait to be sent: a row each, written in the transaction of its event. Jobs are wake-ups.

A row goes once its message is out. One that fails is tried again for about an hour. Meanwhile what comes after it in
its lane waits, and the other lanes go on. A mail that the server refuses for good is given up at once. One beyond a
limit waits for the next window.
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
# Each may take as long as the mail server does not answer.
FAILURES_AT_ONCE_MAX = 3
# RFC 5321, 4.2.1: to send the same again does not help from here on. 421: the server closes the connection.
PERMANENT = 500
CLOSES = 421
# A job ends after so long and sends another one: jobs of other kinds have their turn, too.
JOB_S = 5.0

Senders = Mapping[str, Callable[..., object]]

logger = logging.getLogger(__name__)


def put(task: str, *args: int, lane: str) -> None:
    """Have the sender of `task` called with `args` after the commit."""
    Outgoing.objects.create(task=task, args=[*args], lane=lane)
    transaction.on_commit(partial(wake, WAKE_UP))


def due() -> QuerySet[Outgoing]:
    """Select the messages that may go out now. A lane waits behind its failed message; lanes that failed come last."""
    now = timezone.now()
    waiting = Outgoing.objects.filter(due_at__gt=now).values("lane")
    failed = Outgoing.objects.filter(tries__gt=0).values("lane")
    ready = Outgoing.objects.filter(due_at__lte=now).exclude(lane__in=waiting)
    return ready.annotate(has_failed=Q(lane__in=failed)).order_by("has_failed", "pk")


def work(senders: Senders) -> None:
    """Send what is due, one at a time in the whole hub: else two workers would send one mail, or in another order."""
    ends = time.monotonic() + JOB_S
    while due().exists():
        if time.monotonic() > ends:
            wake(WAKE_UP)
            return
        with try_lock("outbox") as held:
            if not held or not _send_some(senders, ends):
                return


def _send_some(senders: Senders, ends: float) -> bool:
    """Tell whether to go on: where the server takes no mail now, the rest waits for the schedule."""
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
    """Send one; returns why that failed, if it did."""
    try:
        senders[row.task](*row.args)
    except OSError as error:
        _put_off(row, error)
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


def _put_off(row: Outgoing, error: OSError) -> None:
    """Have the row tried again later; give it up where that does not help, or was done often enough."""
    logger.warning("%s was not sent: %s", row, error)
    if _is_refused_for_good(error) or row.tries >= RETRIES_MAX:
        _give_up(row, error)
    else:
        wait = timedelta(seconds=RETRY_S * 2**row.tries)
        Outgoing.objects.filter(pk=row.pk).update(tries=row.tries + 1, due_at=timezone.now() + wait)


def _wait(row: Outgoing, error: HubError) -> None:
    """Have the row tried once more mails may go out: a limit of limits.py is no failure."""
    logger.warning("%s waits: %s", row, error)
    wait = timedelta(seconds=int(error.headers.get("Retry-After", RETRY_S)))
    Outgoing.objects.filter(pk=row.pk).update(due_at=timezone.now() + wait)


def _is_refused_for_good(error: OSError) -> bool:
    """The server refused this recipient or this message; a refused sender or password is a fault of the settings."""
    if isinstance(error, SMTPRecipientsRefused):
        return all(code >= PERMANENT for code, _ in error.recipients.values())
    return isinstance(error, SMTPDataError) and error.smtp_code >= PERMANENT


def _server_takes_no_mail(error: Exception) -> bool:
    """Tell whether other mails would fail, too. A refusal of one recipient says nothing of the next one's mail."""
    if isinstance(error, SMTPRecipientsRefused):
        return any(code == CLOSES for code, _ in error.recipients.values())
    return isinstance(error, OSError) and not _is_refused_for_good(error)


def _give_up(row: Outgoing, error: Exception) -> None:
    """It is a failed job from then on, which administrators see and can send again."""
    row.delete()
    task: Any = current_app.tasks[row.task]
    task_failure.send(sender=task, task_id="", exception=error, args=row.args, kwargs={}, traceback=None, einfo=None)
