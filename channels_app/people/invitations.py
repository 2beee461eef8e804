"""Invitations to a role in a channel, or to a team. Without one, only members.add and teams.add add people.

The invited are named by e-mail address, by user name, or as a team, whose managers answer. The inviter doesn't learn
whether such a user or team exists: an invitation of an unknown name stays pending like any other.

The link's secret (256 bits) is neither stored nor queued. It is derived from the row and the hub's own secret, so that
the job can write it into the mail. Only its SHA-256 is stored, for finding the invitation.

Links get forwarded and stay in archives. So the link alone is not enough: the account has to be the invited one.

An invitation ends with the inviter's right. Otherwise members about to be removed could invite themselves back.
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

from channels_app.access import acts, mail_addresses, user_names
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, lock_channel
from channels_app.audit import log, outbox
from channels_app.models import Channel, Invitation, Member, Role, Team, TeamMember, User
from channels_app.people import members, teams
from channels_app.people.invitation_rules import LIFETIME, promotes_to_owner, refusal
from channels_app.quotas import quotas
from channels_app.rate_limits import counters
from hub.errors import bad_request, conflict, forbidden, not_found

# The time after a refusal in which the same channel or team can't invite again.
DECLINED_FOR = timedelta(days=30)
SEND = "channels_app.tasks.send_invitation"


@dataclass(frozen=True, slots=True)
class Invitee:
    """The invited: the name as typed, and the address, user or team if there is one."""

    name: str
    email: str = ""
    user: User | None = None
    team: Team | None = None


def invite(
    *, actor: Actor, channel: Channel, role: str, email: str = "", username: str = "", team: str = ""
) -> Invitation:
    """Invite an address, a user or a team. A pending invitation is renewed, and its former link expires."""
    if actor.user is None:
        raise forbidden("person_needed", "Only users can send invitations; this key belongs to no user.")
    invitee = _team(team) if team else _person(email or username, is_address=bool(email))
    _count(actor.user, invitee)
    with transaction.atomic():
        locked = acts.lock_channel(Action.INVITATION_SEND, actor, channel)
        members.check_may_give(actor, locked, role)
        members.check_no_team_owns(invitee.name if team else "", locked, role)
        _check_is_no_member(locked, invitee, role)
        invitation = Invitation.objects.filter(channel=locked, invitee_name=invitee.name).first() or Invitation(
            channel=locked
        )
        if invitation.pk:
            members.check_may_give(actor, locked, invitation.role)
        invitation.role = role
        _send(invitation, invitee, actor.user)
        _record(Action.INVITATION_SEND, actor, invitation, invitee.name)
    return invitation


def invite_into_team(*, user: User, team: Team, name_or_address: str) -> Invitation:
    """Invite somebody to the team, by user name or e-mail address."""
    invitee = _person(name_or_address, is_address="@" in name_or_address)
    _count(user, invitee)
    with transaction.atomic():
        locked = teams.lock_team(user, team)
        if invitee.user and TeamMember.objects.filter(team=locked, user=invitee.user).exists():
            raise conflict("in_team", f"{invitee.user} is in the team '{locked}' already.")
        invitation = Invitation.objects.filter(to_team=locked, invitee_name=invitee.name).first() or Invitation(
            to_team=locked
        )
        _send(invitation, invitee, user)
        log.record(Action.TEAM_INVITE, by=Actor(user=user), target=locked.name, detail={"user": invitee.name})
    return invitation


@transaction.atomic
def withdraw(*, actor: Actor, channel: Channel, name_or_address: str) -> None:
    """Delete an invitation, so that its link no longer works."""
    locked = lock_channel(actor, channel, Permission.MANAGE)
    invitation = pending().filter(channel=locked, invitee_name=name_or_address).first()
    if invitation is None:
        raise not_found("no_invitation", f"There is no pending invitation of {name_or_address[:254]} to '{locked}'.")
    members.check_may_give(actor, locked, invitation.role)
    _record(Action.INVITATION_WITHDRAW, actor, invitation, invitation.invitee_name)
    invitation.delete()


@transaction.atomic
def withdraw_from_team(*, user: User, team: Team, name_or_address: str) -> None:
    locked = teams.lock_team(user, team)
    invitation = pending().filter(to_team=locked, invitee_name=name_or_address).first()
    if invitation is None:
        raise not_found(
            "no_invitation", f"There is no pending invitation of {name_or_address[:254]} to the team '{locked}'."
        )
    log.record(Action.TEAM_WITHDRAW, by=Actor(user=user), target=locked.name, detail={"user": invitation.invitee_name})
    invitation.delete()


@transaction.atomic
def accept(*, user: User, invitation: Invitation) -> Member | TeamMember:
    """Add `user`, or the team that `user` manages, as invited; and delete the invitation."""
    current = _lock_invitation(user, invitation)
    joined = _join_team(user, current.to_team) if current.to_team else _join_channel(user, current)
    current.delete()
    return joined


@transaction.atomic
def decline(*, user: User, invitation: Invitation) -> None:
    """Decline the invitation. The same channel or team can't invite again for LEFT_ALONE."""
    current = _lock_invitation(user, invitation)
    current.declined_at = timezone.now()
    current.expires_at = current.declined_at + DECLINED_FOR
    current.save(update_fields=["declined_at", "expires_at"])
    if current.to_team:
        log.record(
            Action.TEAM_DECLINE, by=Actor(user=user), target=current.to_team.name, detail={"user": user.username}
        )
    else:
        _record(Action.INVITATION_DECLINE, Actor(user=user), current, current.invitee_name)


def pending() -> QuerySet[Invitation]:
    """Return the invitations that can still be accepted."""
    is_reachable = Q(channel=None) | Q(channel__deleted_at=None)
    return Invitation.objects.filter(is_reachable, expires_at__gt=timezone.now(), declined_at=None)


def mine(user: User) -> QuerySet[Invitation]:
    """Return the invitations that `user` may answer, newest first.

    Those are invitations of the name, of a verified address, or of a team that `user` manages.
    """
    addresses = EmailAddress.objects.filter(user=user, verified=True).values_list("email", flat=True)
    managed = TeamMember.objects.filter(user=user, is_manager=True).values("team")
    may_answer = Q(user=user) | Q(email__in=addresses) | Q(team__in=managed)
    found = pending().filter(may_answer).select_related("channel", "to_team", "team", "invited_by")
    return found.defer("channel__logo").order_by("-expires_at")


def find(digest: str) -> Invitation | None:
    found = pending().filter(digest=digest)
    return found.select_related("channel", "to_team", "team", "invited_by").first()


def is_invited(email: str) -> bool:
    """Tell whether a pending invitation of the address exists, so that it may sign up."""
    address = mail_addresses.normalize(email)
    return bool(address) and pending().filter(email=address).exists()


def delete_expired() -> None:
    Invitation.objects.filter(expires_at__lte=timezone.now()).delete()


def lane(invitation_id: int) -> str:
    return f"invitation {invitation_id}"


def secret_of(invitation: Invitation) -> str:
    """Return the link's secret: 43 letters, digits, dashes and underscores. Each sending has another one."""
    target = f"{invitation.channel_id}" if invitation.channel_id else f"team {invitation.to_team_id}"
    sending = f"{target} {invitation.invitee_name} {invitation.expires_at.isoformat()}"
    return urlsafe_base64_encode(salted_hmac("invitation", sending, algorithm="sha256").digest())


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _join_team(user: User, team: Team) -> TeamMember:
    log.record(Action.TEAM_ADD, by=Actor(user=user), target=team.name, detail={"user": user.username})
    return TeamMember.objects.create(team=team, user=user)


def _join_channel(user: User, invitation: Invitation) -> Member:
    existing = Member.objects.filter(channel=invitation.channel, user=user).first() if invitation.team is None else None
    member = existing or Member(team=invitation.team, user=None if invitation.team else user)
    member.channel_id = invitation.channel_id  # type: ignore[assignment]  # a constraint: without a team there is a channel
    if invitation.role == Role.OWNER:
        members.make_owner(member)
        quotas.mark_outdated(member.channel, user)
    else:
        member.role = invitation.role
        member.save()
    _record(Action.INVITATION_ACCEPT, Actor(user=user), invitation, members.name_of(member))
    return member


def _send(invitation: Invitation, invitee: Invitee, by: User) -> None:
    """Renew the row and queue its mail."""
    if invitation.declined_at and invitation.expires_at > timezone.now():
        raise conflict(
            "declined",
            f"{invitee.name} declined an invitation and can't be invited again "
            f"until {invitation.expires_at:%-d %B %Y}.",
        )
    invitation.invitee_name, invitation.email, invitation.user, invitation.team = (
        invitee.name,
        invitee.email,
        invitee.user,
        invitee.team,
    )
    invitation.invited_by, invitation.declined_at = by, None
    invitation.mailed_at, invitation.mail_failure = None, ""
    invitation.expires_at = timezone.now() + LIFETIME
    invitation.digest = digest_of(secret_of(invitation))
    invitation.save()
    outbox.put(SEND, invitation.pk, lane=lane(invitation.pk))


def _count(user: User, invitee: Invitee) -> None:
    """Raise HubError 429 if `user` invites, or the same recipient is invited, too often.

    Unknown recipients are counted, too. The counter of the pair keeps one inviter from using up the recipient's limit.
    """
    counters.hit("invitation-by-account", f"user {user.pk}", "invitations of yours")
    counters.hit("invitation-by-day", f"user {user.pk}", "invitations of yours")
    counters.hit(
        "invitation-by-pair", f"user {user.pk} {invitee.name.lower()}", f"invitations of {invitee.name} by you"
    )
    counters.hit("invitation-by-recipient", invitee.name.lower(), f"invitations of {invitee.name}")
    if invitee.email:
        counters.hit("mail-by-recipient", invitee.email, "mails to this address")


def _person(name_or_address: str, *, is_address: bool) -> Invitee:
    """Return the invited by address or by user name; never both, since a name can look like another's address."""
    if is_address:
        address = _address(name_or_address)
        owner = mail_addresses.verified(address).filter(user__is_active=True).select_related("user").first()
        return Invitee(address, email=address, user=owner.user if owner else None)
    name = name_or_address.strip()
    if not user_names.is_possible(name):
        raise bad_request("bad_user_name", f"'{name[:60]}' is not a user name; expected one, or an e-mail address.")
    return Invitee(name, user=user_names.with_name(name).filter(is_active=True).first())


def _team(name: str) -> Invitee:
    if not teams.is_name(name):
        raise bad_request("bad_team_name", f"'{name[:60]}' can't name a team.")
    return Invitee(f"team {name}", team=Team.objects.filter(name=name).first())


def _check_is_no_member(channel: Channel, invitee: Invitee, role: str) -> None:
    """Raise HubError 409 for members; the inviter can see their names.

    Addresses are not checked: that would reveal their owner.
    """
    if invitee.email:
        return
    username, team = (invitee.user.username if invitee.user else ""), (invitee.team.name if invitee.team else "")
    existing = members.named(channel, username, team) if username or team else None
    if existing and not promotes_to_owner(role, existing):
        raise members.is_member_already(existing)


def _lock_invitation(user: User, invitation: Invitation) -> Invitation:
    """Return the current invitation, with its channel or team locked.

    Raise HubError if it is gone or not for `user`.
    """
    if invitation.channel:
        Channel.objects.select_for_update(no_key=True).filter(pk=invitation.channel.pk).first()
    if invitation.to_team:
        Team.objects.select_for_update().filter(pk=invitation.to_team.pk).first()
    current = find(invitation.digest)
    if current is None:
        raise not_found(
            "no_invitation",
            "The invitation is no longer valid: it was used, withdrawn or sent again, or it has expired.",
        )
    if error := refusal(user, current):
        raise error
    return current


def _address(email: str) -> str:
    address = mail_addresses.normalize(email)
    try:
        validate_email(address)
    except ValidationError:
        raise bad_request("bad_email", f"'{email[:100]}' is not an e-mail address.") from None
    return address


def _record(action: Action, actor: Actor, invitation: Invitation, target: str) -> None:
    log.record(action, by=actor, channel=invitation.channel, target=target, detail={"role": invitation.role})
