"""Audit events that people are told of by mail: a table of actions, and what becomes of one."""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import QuerySet
from django.template.loader import render_to_string

from channels_app.models import AuditEvent, Role, User


@dataclass(frozen=True, slots=True)
class Mail:
    """`subject` has {target} and {channel}; the text is templates/mail/<template>.txt, with the event."""

    subject: str
    template: str
    recipients: Callable[[AuditEvent], QuerySet[User]]


def owners(event: AuditEvent) -> QuerySet[User]:
    """The owners of the event's channel; where there is none yet, whoever did it."""
    if event.channel is None:
        return User.objects.filter(events=event)
    return User.objects.filter(memberships__channel=event.channel, memberships__role=Role.OWNER)


MAILS = {
    "publisher.add": Mail("{target} is a trusted publisher of {channel} now", "publisher_add", owners),
    "publisher.remove": Mail("{target} is no trusted publisher of {channel} any more", "publisher_remove", owners),
    "publisher.first_use": Mail("{target} was used for the first time in {channel}", "publisher_first_use", owners),
    "publisher.refuse": Mail("{target} was refused in {channel}", "publisher_refuse", owners),
}


def recipients(event_id: int) -> list[int]:
    """The ids of those who are told of the event and can be: they are active and have an address."""
    event = AuditEvent.objects.select_related("channel").filter(pk=event_id).first()
    if event is None:
        return []
    people = MAILS[event.action].recipients(event)
    return list(people.filter(is_active=True).exclude(email="").values_list("pk", flat=True))


def send(event_id: int, user_id: int) -> None:
    """Tell one user of one event. Raises OSError where the mail server does not take it."""
    event = AuditEvent.objects.select_related("channel", "actor", "key").get(pk=event_id)
    mail, user = MAILS[event.action], User.objects.filter(pk=user_id).first()
    if user is None:
        return
    channel = str(event.channel or event.detail.get("channel", ""))
    context = {
        "event": event,
        "user": user,
        "channel": channel,
        "by": event.actor or event.detail.get("by", ""),
        "hub_url": settings.HUB_PUBLIC_URL,
    }
    text = render_to_string(f"mail/{mail.template}.txt", context)
    subject = mail.subject.format(target=event.target, channel=channel)
    EmailMessage(" ".join(subject.split()), text, to=[user.email]).send()
