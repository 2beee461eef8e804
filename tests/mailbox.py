"""Mails of requests, after the job has sent them."""

from django.core import mail
from django.core.mail import EmailMessage

from channels_app import tasks


def arrived() -> list[EmailMessage]:
    """Return all mails so far, the oldest first."""
    tasks.tell_waiting()
    return mail.outbox


def mailed_code() -> str:
    """Return the code in the latest mail."""
    return [str(each.subject).split()[0] for each in arrived() if "is your code" in str(each.subject)][-1]
