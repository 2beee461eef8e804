"""Jobs for people and channels. Each job reads its work from the database."""

from celery import shared_task

from channels_app.accounts import attempts
from channels_app.audit import mailing, notifications, outbox
from channels_app.authentication import api_key_expiry
from channels_app.people import invitation_mails, invitations
from channels_app.webhooks import deliveries

SENDERS: outbox.Senders = {
    notifications.TELL: notifications.address,
    notifications.SEND: notifications.send,
    mailing.SEND: mailing.send_letter,
    invitations.SEND: invitation_mails.send_mail,
    attempts.TELL: attempts.notify_owner,
}


@shared_task
def tell_waiting() -> None:
    outbox.send_due(SENDERS)


@shared_task
def warn_of_expiring_keys() -> None:
    api_key_expiry.warn()


@shared_task
def deliver_webhooks() -> None:
    deliveries.deliver()


@shared_task
def retry_webhooks() -> None:
    deliveries.retry()


# Jobs that retry messages that were given up. An earlier version also enqueued them for each message.


@shared_task
def tell(event_id: int) -> None:
    outbox.put(notifications.TELL, event_id, lane=notifications.EVENTS)


@shared_task
def send_mail(event_id: int, user_id: int) -> None:
    outbox.put(notifications.SEND, event_id, user_id, lane=notifications.lane(user_id))


@shared_task
def send_invitation(invitation_id: int) -> None:
    outbox.put(invitations.SEND, invitation_id, lane=invitations.lane(invitation_id))


@shared_task
def send_letter(letter_id: int) -> None:
    outbox.put(mailing.SEND, letter_id, lane=mailing.lane(letter_id))


@shared_task
def tell_of_tries(user_id: int) -> None:
    outbox.put(attempts.TELL, user_id, lane=notifications.EVENTS)
