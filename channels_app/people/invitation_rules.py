"""Rules of invitations: permission to accept one, and its validity."""

from datetime import timedelta
from itertools import combinations

from django.db.models import Q, QuerySet

from channels_app.access.actions import Action
from channels_app.access.mail_addresses import verified
from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.models import AuditEvent, Invitation, Member, Role, Team, TeamMember, User
from channels_app.people import members, teams
from hub.errors import HubError, conflict, forbidden

LIFETIME = timedelta(days=7)
# The maximal difference between the clocks of the hub and of its database.
CLOCKS_DIFFER = timedelta(minutes=5)
LOWERED = Q(*(Q(detail__from=high, detail__to=low) for low, high in combinations(Role.values, 2)), _connector=Q.OR)


def refusal(user: User, invitation: Invitation) -> HubError | None:
    """Return the error if `user` can't accept the invitation, else None."""
    if error := _not_invited(user, invitation):
        return error
    if invitation.to_team:
        if TeamMember.objects.filter(team=invitation.to_team, user=user).exists():
            return conflict("in_team", f"You are in the team '{invitation.to_team}' already.")
    else:
        invited = {"team": invitation.team} if invitation.team else {"user": user}
        own = Member.objects.filter(channel=invitation.channel, **invited).first()
        if own and not promotes_to_owner(invitation.role, own):
            name = members.name_of(own) if own.team else "You"
            verb = "is" if own.team else "are"
            sentence = (
                f"{name} {verb} a member of '{invitation.channel}' already: {own.role}. Its owners can change roles."
            )
            return conflict("is_member", sentence)
    if not _inviter_may(invitation):
        return _ended(invitation)
    return _taken_back(invitation) if _is_taken_back(user, invitation) else None


def promotes_to_owner(role: str, member: Member) -> bool:
    """Tell whether the invitation promotes a member to owner. Even members must accept that."""
    return role == Role.OWNER and member.role != Role.OWNER and member.team is None


def _not_invited(user: User, invitation: Invitation) -> HubError | None:
    if invitation.team:
        if teams.manages(user, invitation.team):
            return None
        return forbidden("not_your_team", f"Only managers of the team '{invitation.team}' can answer this invitation.")
    if invitation.email:
        if verified(invitation.email).filter(user=user).exists():
            return None
        return forbidden(
            "not_your_address",
            f"This invitation was sent to {invitation.email}, which is not a verified address of your account "
            f"'{user}'. "
            "Sign in with the account that has it, verify it as yours, or ask for an invitation to your own address.",
        )
    if invitation.user_id == user.pk:
        return None
    return forbidden("not_you", f"This invitation is for {invitation.invitee_name}, and you are signed in as '{user}'.")


def _inviter_may(invitation: Invitation) -> bool:
    inviter = invitation.invited_by
    if inviter is None or not inviter.is_active:
        return False
    if invitation.to_team:
        return teams.manages(inviter, invitation.to_team)
    needed = Permission.OWN if invitation.role == Role.OWNER else Permission.MANAGE
    channel = invitation.channel
    return channel is not None and needed in permissions(Actor(user=inviter), channel)


def _ended(invitation: Invitation) -> HubError:
    if invitation.to_team:
        return forbidden(
            "inviter_may_not",
            f"The person who invited you no longer manages the team '{invitation.to_team}'. "
            "Ask a manager for a new invitation.",
        )
    return forbidden(
        "inviter_may_not",
        f"The person who invited you may no longer give that role in '{invitation.channel}'. "
        "Ask an owner for a new invitation.",
    )


def _is_taken_back(user: User, invitation: Invitation) -> bool:
    """Tell whether another user removed or lowered the role after the invitation was sent.

    The audit log is read instead of ending the row at the removal. Otherwise the sender of an invitation to an address
    would learn its owner.
    """
    since = invitation.expires_at - LIFETIME - CLOCKS_DIFFER
    events = AuditEvent.objects.filter(channel=invitation.channel, created_at__gte=since)
    if invitation.to_team:
        names = _team_names(invitation.to_team, events)
        sent = events.filter(action=Action.TEAM_INVITE, target__in=names, detail__user=invitation.invitee_name)
        taken = events.filter(action=Action.TEAM_REMOVE, target__in=names, detail__user=user.username)
    else:
        sent = events.filter(action=Action.INVITATION_SEND, target=invitation.invitee_name)
        teams_events = AuditEvent.objects.filter(channel=None, created_at__gte=since)
        names = {f"team {name}" for name in _team_names(invitation.team, teams_events)} or {user.username}
        is_member = Q(target__in=names) & (Q(action=Action.MEMBER_REMOVE) | Q(action=Action.MEMBER_CHANGE) & LOWERED)
        taken = events.filter(is_member | Q(action=Action.CHANNEL_TRANSFER, detail__before=user.username))
    last = sent.order_by("-pk").values_list("pk", flat=True).first() or 0
    return taken.filter(pk__gt=last).exclude(actor=user).exists()


def _team_names(team: Team | None, events: QuerySet[AuditEvent]) -> set[str]:
    """Return the team's current and former names: renaming it must not make an invitation valid again."""
    names = {team.name} if team else set()
    updates = events.filter(action=Action.TEAM_UPDATE, detail__fields__has_key="name") if team else events.none()
    for fields in updates.order_by("-pk").values_list("detail__fields", flat=True):
        if fields["name"] in names:
            names.add(fields["before"])
    return names


def _taken_back(invitation: Invitation) -> HubError:
    source = f"the team '{invitation.to_team}'" if invitation.to_team else f"'{invitation.channel}'"
    return forbidden(
        "taken_back",
        f"This invitation is no longer valid: a role in {source} was removed or lowered after it was sent. "
        "Ask for a new one.",
    )
