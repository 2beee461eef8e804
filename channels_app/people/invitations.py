"""Invitations: a role in a channel, or a place in a team, for whoever accepts it. Nobody is made a member unasked.

Who is asked is named by e-mail address, by user name, or as a team, whose managers answer. Whoever invites learns
nothing of whether there is such a user or team: an invitation of a name that is none waits like any other.

The link's secret (256 bits) is neither kept nor queued: it follows from the row and the hub's own secret, so that the
job can write it into the mail. What is kept is its SHA-256, by which it is found again. A link gets forwarded and lies
in archives; so it alone is not enough, the account has to be the one that was asked. And an invitation ends with the
right of whoever sent it: else somebody who is about to be removed could come back by it.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.http import urlsafe_base64_encode

from channels_app import acts, audit, limits, mail_addresses, outbox, quotas, user_names
from channels_app.access import Actor, Permission, hold
from channels_app.models import Channel, Invitation, Member, Role, Team, TeamMember, User
from channels_app.people import members, teams
from channels_app.people.invitation_rules import LIFETIME, raises, refusal
from hub.errors import bad_request, conflict, forbidden, not_found

# Whoever has declined is not asked again by the same channel or team for so long.
LEFT_ALONE = timedelta(days=30)
SEND = "channels_app.tasks.send_invitation"


@dataclass(frozen=True, slots=True)
class Asked:
    """The invited: `who` as it was typed; the rest as far as there is one."""

    who: str
    email: str = ""
    user: User | None = None
    team: Team | None = None


def invite(
    *, actor: Actor, channel: Channel, role: str, email: str = "", username: str = "", team: str = ""
) -> Invitation:
    """Ask an address, a user or a team; an invitation that waits already is renewed, and its link ends."""
    if actor.user is None:
        raise forbidden("person_needed", "Invitations come from people; a key without a user can't send any.")
    asked = _team(team) if team else _person(email or username, is_address=bool(email))
    _count(actor.user, asked)
    with transaction.atomic():
        locked = acts.hold("invitation.send", actor, channel)
        members.check_may_give(actor, locked, role)
        members.check_no_team_owns(asked.who if team else "", locked, role)
        _check_is_no_member(locked, asked, role)
        invitation = Invitation.objects.filter(channel=locked, who=asked.who).first() or Invitation(channel=locked)
        if invitation.pk:
            members.check_may_give(actor, locked, invitation.role)
        invitation.role = role
        _send(invitation, asked, actor.user)
        _record("invitation.send", actor, invitation, asked.who)
    return invitation


def invite_into_team(*, user: User, team: Team, who: str) -> Invitation:
    """Ask somebody, by user name or e-mail address, to be in the team."""
    asked = _person(who, is_address="@" in who)
    _count(user, asked)
    with transaction.atomic():
        locked = teams.hold(user, team)
        if asked.user and TeamMember.objects.filter(team=locked, user=asked.user).exists():
            raise conflict("in_team", f"{asked.user} is in the team '{locked}' already.")
        invitation = Invitation.objects.filter(into=locked, who=asked.who).first() or Invitation(into=locked)
        _send(invitation, asked, user)
        audit.record("team.invite", by=Actor(user=user), target=locked.name, detail={"user": asked.who})
    return invitation


@transaction.atomic
def withdraw(*, actor: Actor, channel: Channel, who: str) -> None:
    """End an invitation and its link."""
    locked = hold(actor, channel, Permission.MANAGE)
    invitation = waiting().filter(channel=locked, who=who).first()
    if invitation is None:
        raise not_found("no_invitation", f"No invitation of {who[:254]} to '{locked}' is waiting (any more).")
    members.check_may_give(actor, locked, invitation.role)
    _record("invitation.withdraw", actor, invitation, invitation.who)
    invitation.delete()


@transaction.atomic
def withdraw_from_team(*, user: User, team: Team, who: str) -> None:
    locked = teams.hold(user, team)
    invitation = waiting().filter(into=locked, who=who).first()
    if invitation is None:
        raise not_found("no_invitation", f"No invitation of {who[:254]} into '{locked}' is waiting (any more).")
    audit.record("team.withdraw", by=Actor(user=user), target=locked.name, detail={"user": invitation.who})
    invitation.delete()


@transaction.atomic
def accept(*, user: User, invitation: Invitation) -> Member | TeamMember:
    """Make `user`, or the team that `user` manages, what the invitation speaks of; it is used up."""
    current = _held(user, invitation)
    joined = _join_team(user, current.into) if current.into else _join_channel(user, current)
    current.delete()
    return joined


@transaction.atomic
def decline(*, user: User, invitation: Invitation) -> None:
    """Say no; the same channel or team can't ask again for LEFT_ALONE."""
    current = _held(user, invitation)
    current.declined_at = timezone.now()
    current.expires_at = current.declined_at + LEFT_ALONE
    current.save(update_fields=["declined_at", "expires_at"])
    if current.into:
        audit.record("team.decline", by=Actor(user=user), target=current.into.name, detail={"user": user.username})
    else:
        _record("invitation.decline", Actor(user=user), current, current.who)


def waiting() -> QuerySet[Invitation]:
    """The invitations that can still be accepted."""
    there = Q(channel=None) | Q(channel__deleted_at=None)
    return Invitation.objects.filter(there, expires_at__gt=timezone.now(), declined_at=None)


def mine(user: User) -> QuerySet[Invitation]:
    """Those that `user` may answer: by name, by a verified address, or for a team that `user` manages; newest first."""
    addresses = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    managed = TeamMember.objects.filter(user=user, is_manager=True).values("team")
    is_asked = Q(user=user) | Q(email__in=addresses) | Q(team__in=managed)
    found = waiting().filter(is_asked).select_related("channel", "into", "team", "invited_by")
    return found.defer("channel__logo").order_by("-expires_at")


def find(digest: str) -> Invitation | None:
    found = waiting().filter(digest=digest)
    return found.select_related("channel", "into", "team", "invited_by").first()


def is_invited(email: str) -> bool:
    """Whether an invitation waits for that address: it may sign up where that takes one."""
    address = mail_addresses.plain(email)
    return bool(address) and waiting().filter(email=address).exists()


def forget_expired() -> None:
    Invitation.objects.filter(expires_at__lte=timezone.now()).delete()


def lane(invitation_id: int) -> str:
    return f"invitation {invitation_id}"


def secret_of(invitation: Invitation) -> str:
    """The link's secret: 43 letters, digits, dashes and underscores; another one for every sending."""
    whither = f"{invitation.channel_id}" if invitation.channel_id else f"team {invitation.into_id}"
    sending = f"{whither} {invitation.who} {invitation.expires_at.isoformat()}"
    return urlsafe_base64_encode(salted_hmac("invitation", sending, algorithm="sha256").digest())


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _join_team(user: User, team: Team) -> TeamMember:
    audit.record("team.add", by=Actor(user=user), target=team.name, detail={"user": user.username})
    return TeamMember.objects.create(team=team, user=user)


def _join_channel(user: User, invitation: Invitation) -> Member:
    there = Member.objects.filter(channel=invitation.channel, user=user).first() if invitation.team is None else None
    member = there or Member(team=invitation.team, user=None if invitation.team else user)
    member.channel_id = invitation.channel_id  # type: ignore[assignment]  # the constraint: it is there
    if invitation.role == Role.OWNER:
        members.make_owner(member)
        quotas.forget(member.channel, user)
    else:
        member.role = invitation.role
        member.save()
    _record("invitation.accept", Actor(user=user), invitation, members.name_of(member))
    return member


def _send(invitation: Invitation, asked: Asked, by: User) -> None:
    """Renew the row, and have its mail sent."""
    if invitation.declined_at and invitation.expires_at > timezone.now():
        raise conflict(
            "declined",
            f"{asked.who} has declined an invitation, and is not asked again until "
            f"{invitation.expires_at:%-d %B %Y}. Whoever changes their mind can ask you.",
        )
    invitation.who, invitation.email, invitation.user, invitation.team = asked.who, asked.email, asked.user, asked.team
    invitation.invited_by, invitation.declined_at = by, None
    invitation.mailed_at, invitation.mail_failure = None, ""
    invitation.expires_at = timezone.now() + LIFETIME
    invitation.digest = digest_of(secret_of(invitation))
    invitation.save()
    outbox.put(SEND, invitation.pk, lane=lane(invitation.pk))


def _count(user: User, asked: Asked) -> None:
    """429 where `user` asks, or the same one is asked, too often; alike for whom there is and whom there is not.

    One inviter alone uses up little of what the same one may be asked by all.
    """
    limits.hit("invitation-by-account", f"user {user.pk}", "invitations of yours")
    limits.hit("invitation-by-day", f"user {user.pk}", "invitations of yours")
    limits.hit("invitation-by-pair", f"user {user.pk} {asked.who.lower()}", f"invitations of {asked.who} by you")
    limits.hit("invitation-by-recipient", asked.who.lower(), f"invitations of {asked.who}")
    if asked.email:
        limits.hit("mail-by-recipient", asked.email, "mails to this address")


def _person(who: str, *, is_address: bool) -> Asked:
    """By an address, or by user name: never both, a name can look like the address of somebody else."""
    if is_address:
        address = _address(who)
        owner = mail_addresses.verified(address).filter(user__is_active=True).select_related("user").first()
        return Asked(address, email=address, user=owner.user if owner else None)
    name = who.strip()
    if not user_names.may_be(name):
        raise bad_request("bad_user_name", f"'{name[:60]}' can't be a user name; expected one, or an e-mail address.")
    return Asked(name, user=user_names.having(name).filter(is_active=True).first())


def _team(name: str) -> Asked:
    if not teams.is_name(name):
        raise bad_request("bad_team_name", f"'{name[:60]}' can't name a team.")
    return Asked(f"team {name}", team=Team.objects.filter(name=name).first())


def _check_is_no_member(channel: Channel, asked: Asked, role: str) -> None:
    """Of members alone, whom the inviter sees in the list; not of whose an address is."""
    if asked.email:
        return
    username, team = (asked.user.username if asked.user else ""), (asked.team.name if asked.team else "")
    existing = members.named(channel, username, team) if username or team else None
    if existing and not raises(role, existing):
        raise members.is_member_already(existing)


def _held(user: User, invitation: Invitation) -> Invitation:
    """The invitation as it is now, its channel or team locked; raises where it is gone or not for `user`."""
    if invitation.channel:
        Channel.objects.select_for_update(no_key=True).filter(pk=invitation.channel.pk).first()
    if invitation.into:
        Team.objects.select_for_update().filter(pk=invitation.into.pk).first()
    current = find(invitation.digest)
    if current is None:
        raise not_found("no_invitation", "The invitation is gone: it was used, withdrawn, sent again, or is too old.")
    if error := refusal(user, current):
        raise error
    return current


def _address(email: str) -> str:
    address = mail_addresses.plain(email)
    try:
        validate_email(address)
    except ValidationError:
        raise bad_request("bad_email", f"'{email[:100]}' is no e-mail address.") from None
    return address


def _record(action: str, actor: Actor, invitation: Invitation, target: str) -> None:
    audit.record(action, by=actor, channel=invitation.channel, target=target, detail={"role": invitation.role})
