"""The one place that sends mails: within limits, for each recipient and in all. Requests only write them down.

A request that writes to somebody and one that writes to nobody do the same work, and wait for no mail server.
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
# Django's backends that hand no mail on.
NOWHERE = {f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy", "filebased")}
# Codes are void then.
KEPT = timedelta(minutes=15)


@transaction.atomic
def put(*, to: str, subject: str, text: str) -> None:
    """Have a mail sent by a job; where `to` is empty, it goes nowhere."""
    letter = Letter.objects.create(to=to, subject=subject, text=text)
    outbox.put(SEND, letter.pk, lane=lane(letter.pk))


def send_letter(letter_id: int) -> None:
    """Send what was written, unless it is too old. Raises OSError where the mail server does not take it."""
    letter = Letter.objects.filter(pk=letter_id).first()
    if letter is None:
        return
    if letter.to and letter.created_at > timezone.now() - KEPT:
        # Somebody waits for it, and asked for no more than they may: notices that others caused hold it back no longer.
        _send(letter.subject, letter.text, letter.to)
    letter.delete()


def deliver(subject: str, text: str, to: str) -> None:
    """Send one mail now; 429 where its recipient, or everybody together, has had so many that it has to wait."""
    counters.check("delivery-by-recipient", to.lower(), "mails to this address")
    counters.check("delivery-by-hub", "", "mails of this hub")
    _send(subject, text, to)


def _send(subject: str, text: str, to: str) -> None:
    EmailMessage(one_line(subject), visible(text), to=[to]).send()
    counters.count("delivery-by-recipient", to.lower())
    counters.count("delivery-by-hub", "")


def is_set_up() -> bool:
    """Tell whether mails go to a mail server, rather than being printed or dropped."""
    return settings.EMAIL_BACKEND not in NOWHERE


def forget_old() -> None:
    """Remove letters that are of no use any more."""
    Letter.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


def lane(letter_id: int) -> str:
    return f"letter {letter_id}"
