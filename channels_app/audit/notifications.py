"""Notifications: audit events that are mailed to users, with their recipients and texts.

An event waits in the outbox, and then each of its mails does. So a mail that fails does not repeat the others.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.acts import Audience, Notice
from channels_app.access.permissions import ROLE_PERMISSIONS
from channels_app.audit import descriptions, mailing, outbox
from channels_app.models import AuditEvent, Channel, Member, Outgoing, Role, TeamMember, User

TELL = "channels_app.tasks.tell"
SEND = "channels_app.tasks.send_mail"
EVENTS = "events"


def actor_of(event: AuditEvent) -> QuerySet[User]:
    """Select the user of the account that the event is about, which is its actor."""
    return User.objects.filter(events=event)


def named(event: AuditEvent) -> QuerySet[User]:
    """Select the user that the event's target names."""
    return User.objects.filter(username=event.target)


def address_of(event: AuditEvent, user: User) -> str:
    """Return the address for a mail to `user` about the event.

    If the event changed the address, it is the previous one, so that the former owner of a hijacked account is
    notified.
    """
    audience = MAILS[event.action].told
    before = {
        Audience.ADDRESS_BEFORE: event.detail.get("before"),
        Audience.NAMED: event.detail.get("changes", {}).get("email", {}).get("from"),
    }
    return str(before.get(audience) or user.email)


def owners(event: AuditEvent) -> QuerySet[User]:
    """Select the owners of the event's channel; the actor if there is no channel yet."""
    if event.channel is None:
        return User.objects.filter(events=event)
    return User.objects.filter(memberships__channel=event.channel, memberships__role=Role.OWNER)


def owners_of_visibility(event: AuditEvent) -> QuerySet[User]:
    return owners(event) if "is_private" in event.detail else User.objects.none()


def key_owners(event: AuditEvent) -> QuerySet[User]:
    """Select the owner of the event's API key; for a channel key, the owners of its channel."""
    return owners(event) if event.channel else User.objects.filter(keys=event.detail["key"])


def publisher_owner(event: AuditEvent) -> QuerySet[User]:
    """Select the user of the pending publisher that ended."""
    return User.objects.filter(pk=event.detail["user"])


def first_authorization(event: AuditEvent) -> QuerySet[User]:
    """Select the actor of an application's first authorization."""
    return User.objects.filter(events=event) if event.detail["is_first"] else User.objects.none()


def actor_with_former_address(event: AuditEvent) -> QuerySet[User]:
    """Select the actor if there was a previous address; a first address needs no warning."""
    return actor_of(event) if event.detail.get("before") else User.objects.none()


def affected_people(event: AuditEvent) -> QuerySet[User]:
    """Select the affected member or the managers of the affected team, without the actor."""
    if team := _team(event, event.detail.get("team", "")):
        people = User.objects.filter(teams__team__name=team, teams__is_manager=True)
    else:
        people = User.objects.filter(username=event.target)
    return people.exclude(pk=event.actor.pk) if event.actor else people


def owners_and_actor(event: AuditEvent) -> QuerySet[User]:
    """Select the owners of the event's channel, and the actor."""
    return User.objects.filter(Q(pk__in=owners(event)) | Q(pk=event.actor_id))


def owners_and_concerned(event: AuditEvent) -> QuerySet[User]:
    return User.objects.filter(Q(pk__in=owners(event)) | Q(pk__in=affected_people(event)))


def last_owners(event: AuditEvent) -> QuerySet[User]:
    """Select the owners of a deleted channel that the event names."""
    return User.objects.filter(username__in=event.detail["owners"])


def approvers(event: AuditEvent) -> QuerySet[User]:
    """Select the members with the role that a promotion needs who can see its source, without the actor."""
    roles = [role for role, granted in ROLE_PERMISSIONS.items() if event.detail["needs"] in granted]
    people = _members_of(event.channel, role__in=roles)
    source = Channel.objects.filter(name=event.detail["source"]).first()
    if source and source.is_private:
        people &= _members_of(source)
    return User.objects.filter(people).exclude(events=event)


def administrators(_: AuditEvent) -> QuerySet[User]:
    return User.objects.filter(is_superuser=True)


def team_and_owners(event: AuditEvent) -> QuerySet[User]:
    """Select the managers of the event's team, and the owners of the team's channels.

    Select none if the change came from a group at sign-in. The assignment of that group to the team was notified
    before.
    """
    if event.detail.get("group"):
        return User.objects.none()
    team = _team(event, event.target)
    is_manager = Q(teams__team__name=team, teams__is_manager=True)
    channels = Member.objects.filter(team__name=team, channel__deleted_at=None).values("channel")
    is_owner = Q(memberships__channel__in=channels, memberships__role=Role.OWNER)
    return User.objects.filter(is_manager | is_owner).distinct()


def _members_of(channel: Channel | None, **conditions: Any) -> Q:
    """Return a condition on users: direct members of the channel, or members of its teams."""
    found = Member.objects.filter(channel=channel, **conditions)
    in_team = TeamMember.objects.filter(team__in=found.values("team")).values("user")
    return Q(pk__in=found.values("user")) | Q(pk__in=in_team)


def _team(event: AuditEvent, name: str) -> str:
    """Return the present name of the event's team, which may have been renamed since."""
    updates = AuditEvent.objects.filter(action=Action.TEAM_UPDATE, pk__gt=event.pk, detail__fields__has_key="name")
    for fields in updates.order_by("pk").values_list("detail__fields", flat=True):
        name = fields["name"] if fields["before"] == name else name
    return name


RECIPIENTS: dict[Audience, Callable[[AuditEvent], QuerySet[User]]] = {
    Audience.OWNERS: owners,
    Audience.OWNERS_OF_VISIBILITY: owners_of_visibility,
    Audience.OWNERS_AND_ACTOR: owners_and_actor,
    Audience.OWNERS_AND_CONCERNED: owners_and_concerned,
    Audience.TEAM: team_and_owners,
    Audience.HOLDERS: key_owners,
    Audience.ONESELF: actor_of,
    Audience.LAST_OWNERS: last_owners,
    Audience.NAMED: named,
    Audience.FIRST_TIME: first_authorization,
    Audience.ADDRESS_BEFORE: actor_with_former_address,
    Audience.LOSER: publisher_owner,
    Audience.ADMINISTRATORS: administrators,
    Audience.APPROVERS: approvers,
}

# Notices of events that are no acts. The notices of users' acts are in acts.ACTS.
OF_THE_HUB = {
    Action.ACCOUNT_NEW_DEVICE: Notice("A sign-in from a new device", Audience.ONESELF, "account_new_device"),
    Action.ACCOUNT_TRIED_OFTEN: Notice("Repeated wrong passwords for your account", Audience.ONESELF, "account_tried"),
    Action.ACCOUNT_RECOVERY_CODE: Notice("A recovery code was used", Audience.ONESELF, "account_changed"),
    Action.CHANNEL_DIFFER: Notice(
        "{channel}: database, index and store differ", Audience.ADMINISTRATORS, "channel_differ"
    ),
    Action.CHANNEL_NEARLY_FULL: Notice("{channel} is nearly full", Audience.OWNERS, "channel_nearly_full"),
    Action.KEY_EXPIRES: Notice("The API key {target} expires soon", Audience.HOLDERS, "key_expires"),
    Action.PROMOTION_REQUEST: Notice(
        "A promotion to {channel} waits for your approval", Audience.APPROVERS, "promotion_request"
    ),
    Action.PUBLISHER_END: Notice(
        "{target} can no longer create the channel {channel}", Audience.LOSER, "publisher_end"
    ),
    Action.PUBLISHER_FIRST_USE: Notice(
        "{target} was used for the first time in {channel}", Audience.OWNERS, "publisher_first_use"
    ),
    Action.PUBLISHER_REFUSE: Notice("{target} was refused in {channel}", Audience.OWNERS, "publisher_refuse"),
    Action.RETENTION_RUN: Notice("Retention has removed files of {channel}", Audience.OWNERS, "retention_run"),
    Action.WEBHOOK_SWITCH_OFF: Notice(
        "The webhook {target} of {channel} was switched off", Audience.OWNERS, "webhook_switch_off"
    ),
}
MAILS = OF_THE_HUB | {act.action: act.notice for act in acts.ACTS.values() if act.notice}


@transaction.atomic
def address(event_id: int) -> None:
    """Replace the event in the outbox by a mail to each of its recipients."""
    for user_id in recipients(event_id):
        outbox.put(SEND, event_id, user_id, lane=lane(user_id))
    Outgoing.objects.filter(task=TELL, args=[event_id]).delete()


def lane(user_id: int) -> str:
    """Return the lane of a user. Mails of one lane are sent in the order of events."""
    return f"user {user_id}"


def recipients(event_id: int) -> list[int]:
    """Return the ids of the recipients that are active and have an address.

    The user of an administrator's act is notified even if inactive: the act may have deactivated the account.
    """
    event = AuditEvent.objects.select_related("channel").filter(pk=event_id).first()
    if event is None:
        return []
    audience = MAILS[event.action].told
    people = RECIPIENTS[audience](event)
    people = people if audience == Audience.NAMED else people.filter(is_active=True)
    return [user.pk for user in people.only("email") if address_of(event, user)]


def send(event_id: int, user_id: int) -> None:
    """Notify one user of one event. Raise OSError if the mail server does not accept the mail."""
    event = AuditEvent.objects.select_related("channel", "actor", "key").filter(pk=event_id).first()
    user = User.objects.filter(pk=user_id).first()
    if event is None or user is None:
        return
    mail = MAILS[event.action]
    channel = str(event.channel or event.detail.get("channel", ""))
    more = event.detail.get("more")
    target = f"{event.target} and {more} more" if more else event.target
    subject = " ".join(mail.subject.format(target=target, channel=channel).split())
    context = {
        "event": event,
        "entry": descriptions.entry(event, event.channel),
        "subject": subject,
        "user": user,
        "channel": channel,
        "by": event.actor or event.detail.get("by", ""),
        "hub_url": settings.HUB_PUBLIC_URL,
        "grace_hours": settings.HUB_GRACE_HOURS,
    }
    text = render_to_string(f"mail/{mail.template}.txt", context)
    mailing.deliver(subject, text, address_of(event, user))
