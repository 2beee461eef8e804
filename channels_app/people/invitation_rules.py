"""For whom an invitation is, and until when it holds."""

from channels_app.access import Actor, Permission, permissions
from channels_app.mail_addresses import verified
from channels_app.models import Invitation, Member, Role, TeamMember, User
from channels_app.people import members, teams
from hub.errors import HubError, conflict, forbidden


def refusal(user: User, invitation: Invitation) -> HubError | None:
    """Why the invitation is not for `user`, if it is not."""
    if error := _not_asked(user, invitation):
        return error
    if invitation.into:
        if TeamMember.objects.filter(team=invitation.into, user=user).exists():
            return conflict("in_team", f"You are in the team '{invitation.into}' already.")
    else:
        whose = {"team": invitation.team} if invitation.team else {"user": user}
        own = Member.objects.filter(channel=invitation.channel, **whose).first()
        if own and not raises(invitation.role, own):
            who = members.name_of(own) if own.team else "You"
            verb = "is" if own.team else "are"
            sentence = f"{who} {verb} a member of '{invitation.channel}' already: {own.role}. Its owners change roles."
            return conflict("is_member", sentence)
    return None if _inviter_may(invitation) else _ended(invitation)


def raises(role: str, member: Member) -> bool:
    """Tell whether an invitation as `role` is for a member, too: to become an owner is asked of everybody."""
    return role == Role.OWNER and member.role != Role.OWNER and member.team is None


def _not_asked(user: User, invitation: Invitation) -> HubError | None:
    if invitation.team:
        if teams.manages(user, invitation.team):
            return None
        return forbidden("not_your_team", f"Only managers of the team '{invitation.team}' answer this invitation.")
    if invitation.email:
        if verified(invitation.email).filter(user=user).exists():
            return None
        return forbidden(
            "not_your_address",
            f"This invitation was sent to {invitation.email}, which is no verified address of your account '{user}'. "
            "Sign in with the account that has it, verify it as yours, or ask for an invitation to your own address.",
        )
    if invitation.user_id == user.pk:
        return None
    return forbidden("not_you", f"This invitation is for {invitation.who}, and you are signed in as '{user}'.")


def _inviter_may(invitation: Invitation) -> bool:
    inviter = invitation.invited_by
    if inviter is None or not inviter.is_active:
        return False
    if invitation.into:
        return teams.manages(inviter, invitation.into)
    needed = Permission.OWN if invitation.role == Role.OWNER else Permission.MANAGE
    channel = invitation.channel
    return channel is not None and needed in permissions(Actor(user=inviter), channel)


def _ended(invitation: Invitation) -> HubError:
    if invitation.into:
        return forbidden("inviter_may_not", f"Whoever invited you manages the team '{invitation.into}' no more.")
    return forbidden(
        "inviter_may_not",
        f"Whoever invited you may not give that role in '{invitation.channel}' any more. "
        "Ask an owner for a new invitation.",
    )
