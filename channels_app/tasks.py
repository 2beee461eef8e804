"""The jobs of people and channels. Each takes ids and does nothing where there is nothing to do."""

import logging

from celery import Task, shared_task

from channels_app import key_expiry, mails
from channels_app.people import invitations
from hub.celery import send

RETRY_S = 60
RETRIES_MAX = 6

logger = logging.getLogger(__name__)


@shared_task
def tell(event_id: int) -> None:
    """A job for each mail, so that a retry of one does not send the others again."""
    for user_id in mails.recipients(event_id):
        send("channels_app.tasks.send_mail", event_id, user_id)


@shared_task(bind=True, max_retries=RETRIES_MAX)
def send_mail(self: "Task[..., None]", event_id: int, user_id: int) -> None:
    """A mail server that is down is tried again for about an hour."""
    try:
        mails.send(event_id, user_id)
    except OSError as error:
        logger.warning("the mail of event %s to user %s was not sent: %s", event_id, user_id, error)
        raise _again(self, error) from error


@shared_task(bind=True, max_retries=RETRIES_MAX)
def send_invitation(self: "Task[..., None]", invitation_id: int) -> None:
    try:
        invitations.send_mail(invitation_id)
    except OSError as error:
        logger.warning("the mail of invitation %s was not sent: %s", invitation_id, error)
        raise _again(self, error) from error


@shared_task
def warn_of_expiring_keys() -> None:
    key_expiry.warn()


def _again(task: "Task[..., None]", error: OSError) -> Exception:
    return task.retry(exc=error, countdown=RETRY_S * 2**task.request.retries, throw=False)
