"""Audit events that people are told of by mail: a table of actions, and what becomes of one.

An event waits in the outbox, then each of its mails does, so that one that fails does not send the others again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string

from channels_app import outbox
from channels_app.models import AuditEvent, Outgoing, Role, User

TELL = "channels_app.tasks.tell"
SEND = "channels_app.tasks.send_mail"
EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Mail:
    """`subject` has {target} and {channel}; the text is templates/mail/<template>.txt, with the event."""

    subject: str
    template: str
    recipients: Callable[[AuditEvent], QuerySet[User]]
    to: Callable[[AuditEvent, User], str] = lambda _, user: user.email


def oneself(event: AuditEvent) -> QuerySet[User]:
    """Whose account the event is about: whoever did it, or seems to have."""
    return User.objects.filter(events=event)


def named(event: AuditEvent) -> QuerySet[User]:
    """The user whom the event's target names, whoever did it."""
    return User.objects.filter(username=event.target)


def address_before(event: AuditEvent, user: User) -> str:
    """Where whoever lost the account still reads of it."""
    return str(event.detail.get("before") or user.email)


def owners(event: AuditEvent) -> QuerySet[User]:
    """The owners of the event's channel; where there is none yet, whoever did it."""
    if event.channel is None:
        return User.objects.filter(events=event)
    return User.objects.filter(memberships__channel=event.channel, memberships__role=Role.OWNER)


def holders(event: AuditEvent) -> QuerySet[User]:
    """Whose the event's API key is: a user, or for a robot the owners of its channel."""
    return owners(event) if event.channel else User.objects.filter(keys=event.detail["key"])


def first_time(event: AuditEvent) -> QuerySet[User]:
    """Who let an application in, where that was the first time."""
    return User.objects.filter(events=event) if event.detail["is_first"] else User.objects.none()


def concerned(event: AuditEvent) -> QuerySet[User]:
    """The member that the event is about, or who manages the team that is; not whoever did it."""
    if team := event.detail.get("team"):
        people = User.objects.filter(teams__team__name=team, teams__is_manager=True)
    else:
        people = User.objects.filter(username=event.target)
    return people.exclude(pk=event.actor.pk) if event.actor else people


def owners_and_before(event: AuditEvent) -> QuerySet[User]:
    """The owners of the event's channel, and whoever did it."""
    is_owner = Q(memberships__channel=event.channel, memberships__role=Role.OWNER)
    return User.objects.filter(is_owner | Q(pk=event.actor_id)).distinct()


def administrators(_: AuditEvent) -> QuerySet[User]:
    return User.objects.filter(is_superuser=True)


MAILS = {
    "account.new_device": Mail("A sign-in from a new device", "account_new_device", oneself),
    "account.email": Mail("Your e-mail address was changed", "account_changed", oneself, address_before),
    "account.password": Mail("Your password was changed", "account_changed", oneself),
    "account.factor_add": Mail("You can sign in with {target} now", "account_changed", oneself),
    "account.factor_remove": Mail("You can't sign in with {target} any more", "account_changed", oneself),
    "account.factor_reset": Mail("You have new recovery codes", "account_changed", oneself),
    "account.recovery_code": Mail("A recovery code was used", "account_changed", oneself),
    "account.connect": Mail("You can sign in with {target} now", "account_changed", oneself),
    "account.disconnect": Mail("You can't sign in with {target} any more", "account_changed", oneself),
    "user.factors_remove": Mail("Your second factors were removed", "account_changed", named),
    "member.add": Mail("{target} is a member of {channel} now", "member_add", concerned),
    "member.change": Mail("{target} has another role in {channel} now", "member_change", concerned),
    "member.remove": Mail("{target} is no member of {channel} any more", "member_remove", concerned),
    "channel.transfer": Mail("{channel} belongs to {target} now", "channel_transfer", owners_and_before),
    "channel.differ": Mail("{channel}: database, index and store differ", "channel_differ", administrators),
    "key.create": Mail("A new API key: {target}", "key_create", holders),
    "key.expires": Mail("The API key {target} expires soon", "key_expires", holders),
    "oauth.grant": Mail("{target} is signed in with your account", "oauth_grant", first_time),
    "publisher.add": Mail("{target} is a trusted publisher of {channel} now", "publisher_add", owners),
    "publisher.remove": Mail("{target} is no trusted publisher of {channel} any more", "publisher_remove", owners),
    "publisher.first_use": Mail("{target} was used for the first time in {channel}", "publisher_first_use", owners),
    "publisher.refuse": Mail("{target} was refused in {channel}", "publisher_refuse", owners),
}


@transaction.atomic
def address(event_id: int) -> None:
    """Have a mail go to each who is told of the event, instead of the event."""
    for user_id in recipients(event_id):
        outbox.put(SEND, event_id, user_id, lane=lane(user_id))
    Outgoing.objects.filter(task=TELL, args=[event_id]).delete()


def lane(user_id: int) -> str:
    """A user gets mails in the order of events."""
    return f"user {user_id}"


def recipients(event_id: int) -> list[int]:
    """The ids of those who are told of the event and can be: they are active and have an address."""
    event = AuditEvent.objects.select_related("channel").filter(pk=event_id).first()
    if event is None:
        return []
    people = MAILS[event.action].recipients(event)
    return list(people.filter(is_active=True).exclude(email="").values_list("pk", flat=True))


def send(event_id: int, user_id: int) -> None:
    """Tell one user of one event. Raises OSError where the mail server does not take it."""
    event = AuditEvent.objects.select_related("channel", "actor", "key").filter(pk=event_id).first()
    user = User.objects.filter(pk=user_id).first()
    if event is None or user is None:
        return
    mail = MAILS[event.action]
    channel = str(event.channel or event.detail.get("channel", ""))
    subject = " ".join(mail.subject.format(target=event.target, channel=channel).split())
    context = {
        "event": event,
        "subject": subject,
        "user": user,
        "channel": channel,
        "by": event.actor or event.detail.get("by", ""),
        "hub_url": settings.HUB_PUBLIC_URL,
    }
    text = render_to_string(f"mail/{mail.template}.txt", context)
    EmailMessage(subject, text, to=[mail.to(event, user)]).send()
