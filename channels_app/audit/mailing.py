"""Sending of mails, within limits for each recipient and for the hub. Requests only store mails; jobs send them.

A request does the same work whether or not it causes a mail, and never waits for the mail server.
"""

from datetime import timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.utils import timezone

from channels_app.audit import outbox
from channels_app.models import Letter
from channels_app.rate_limits import counters
from hub.plain_text import one_line, visible

SEND = "channels_app.tasks.send_letter"
# Django's backends that don't send mails.
NOWHERE = {f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy", "filebased")}
# The codes in these mails expire after this time.
LETTER_TTL = timedelta(minutes=15)


@transaction.atomic
def put(*, to: str, subject: str, text: str) -> None:
    """Store a mail and enqueue it. If `to` is empty, the job sends no mail."""
    letter = Letter.objects.create(to=to, subject=subject, text=text)
    outbox.put(SEND, letter.pk, lane=lane(letter.pk))


def send_letter(letter_id: int) -> None:
    """Send a stored mail unless it is too old, and delete it.

    Raise OSError if the mail server does not accept it.
    """
    letter = Letter.objects.filter(pk=letter_id).first()
    if letter is None:
        return
    if letter.to and letter.created_at > timezone.now() - LETTER_TTL:
        # Not by deliver(): the request for this mail was limited, and other mails must not delay it.
        _send(letter.subject, letter.text, letter.to)
    letter.delete()


def deliver(subject: str, text: str, to: str) -> None:
    """Send one mail now; raise 429 if its recipient or the hub has reached the limit of mails."""
    counters.check("delivery-by-recipient", to.lower(), "mails to this address")
    counters.check("delivery-by-hub", "", "mails of this hub")
    _send(subject, text, to)


def _send(subject: str, text: str, to: str) -> None:
    EmailMessage(one_line(subject), visible(text), to=[to]).send()
    counters.count("delivery-by-recipient", to.lower())
    counters.count("delivery-by-hub", "")


def is_set_up() -> bool:
    """Tell whether mails go to a mail server. Otherwise they are printed or dropped."""
    return settings.EMAIL_BACKEND not in NOWHERE


def delete_old() -> None:
    """Delete expired mails."""
    Letter.objects.filter(created_at__lt=timezone.now() - LETTER_TTL).delete()


def lane(letter_id: int) -> str:
    return f"letter {letter_id}"
