"""The mails that requests put down, once the job has sent them."""

from django.core import mail
from django.core.mail import EmailMessage

from channels_app import tasks


def arrived() -> list[EmailMessage]:
    """Every mail so far, the first first."""
    tasks.tell_waiting()
    return mail.outbox


def mailed_code() -> str:
    """The code that was sent last."""
    return [str(each.subject).split()[0] for each in arrived() if "is your code" in str(each.subject)][-1]
