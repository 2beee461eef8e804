"""`/api/v1`: pending invitations, for those who sent them and for those who can accept them."""

from datetime import datetime
from typing import Any

from django.db.models import Case, Q, QuerySet, Value, When
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Actor, Permission, channel_for, permissions
from channels_app.models import Channel, Invitation, Role
from channels_app.people import invitation_mails, invitations, member_queries
from channels_app.rest.bodies import UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of

router = Router(tags=["Invitations"])


class InvitationState(Schema):
    """A pending invitation to a channel or to a team."""

    id: int
    invitee: str = Field(description="As the inviter named them: a user name, an e-mail address, or `team NAME`.")
    channel: str | None
    team: str | None = Field(description="The team that is joined; null for an invitation to a channel.")
    role: str | None = Field(description="The role in the channel; null for an invitation to a team.")
    invited_by: UserName = Field(description="Null if the user was deleted.")
    created_at: datetime
    expires_at: datetime

    @staticmethod
    def resolve_invitee(invitation: Invitation) -> str:
        return invitation.invitee_name

    @staticmethod
    def resolve_channel(invitation: Invitation) -> str | None:
        return invitation.channel.name if invitation.channel else None

    @staticmethod
    def resolve_team(invitation: Invitation) -> str | None:
        return invitation.to_team.name if invitation.to_team else None

    @staticmethod
    def resolve_role(invitation: Invitation) -> str | None:
        return invitation.role or None


class SentInvitation(InvitationState):
    """An invitation as its channel sees it, with the state of its mail."""

    mailed_at: datetime | None = Field(description="Time at which the mail server accepted the mail.")
    mail_failure: str = Field(description="The last error of the mail server; empty without one.")
    link: str | None = Field(
        description="The link of the mail, for signed-in users who may send the invitation. "
        "It works only for the invited account. Keys and applications don't get it."
    )

    @staticmethod
    def resolve_link(invitation: Any) -> str | None:
        return invitation_mails.link_of(invitation) if invitation.has_link else None


class Joined(Schema):
    """The channel or team that an accepted invitation leads to."""

    channel: str | None
    team: str | None


@router.get("/channels/{channel}/invitations", response=list[SentInvitation], url_name="channel-invitations")
@paginate(Pages, ordering=("-pk",))
def list_channel_invitations(request: Request, channel: str) -> QuerySet[Invitation]:
    """List the pending invitations to the channel, the newest first."""
    return sent(request.auth, channel_for(request.auth, channel, Permission.MANAGE))


@router.delete("/channels/{channel}/invitations/{invitation}", response={204: None}, url_name="channel-invitation")
def withdraw_channel_invitation(request: Request, channel: str, invitation: int) -> Status[None]:
    """Withdraw the invitation. Its link stops working."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    pending = get_object_or_404(member_queries.pending_invitations(found), pk=invitation)
    invitations.withdraw(actor=request.auth, channel=found, name_or_address=pending.invitee_name)
    return Status(204, None)


@router.get(
    "/account/invitations", response=list[InvitationState], url_name="account-invitations", openapi_extra=SESSION_ONLY
)
@paginate(Pages, ordering=("-pk",))
def list_own_invitations(request: Request) -> QuerySet[Invitation]:
    """List the invitations that the signed-in user can accept, also those of the user's teams."""
    return invitations.mine(user_of(request))


@router.post(
    "/account/invitations/{invitation}/accept",
    response=Joined,
    url_name="account-invitation-accept",
    openapi_extra=SESSION_ONLY,
)
def accept_invitation(request: Request, invitation: int) -> dict[str, Any]:
    """Accept the invitation."""
    user = user_of(request)
    found = get_object_or_404(invitations.mine(user), pk=invitation)
    invitations.accept(user=user, invitation=found)
    state = InvitationState.from_orm(found)
    return {"channel": state.channel, "team": state.team}


@router.post(
    "/account/invitations/{invitation}/decline",
    response={204: None},
    url_name="account-invitation-decline",
    openapi_extra=SESSION_ONLY,
)
def decline_invitation(request: Request, invitation: int) -> Status[None]:
    """Decline the invitation. The channel or team can't invite again for 30 days."""
    user = user_of(request)
    invitations.decline(user=user, invitation=get_object_or_404(invitations.mine(user), pk=invitation))
    return Status(204, None)


def sent(actor: Actor, channel: Channel) -> QuerySet[Invitation]:
    """Return the pending invitations to the channel. `has_link` tells whether the members' page shows the link."""
    pending = member_queries.pending_invitations(channel).select_related("channel", "invited_by")
    hidden = [] if Permission.OWN in permissions(actor, channel) else [Role.OWNER]
    is_shown = Q(email__gt="") & ~Q(role__in=Role.values if actor.key or actor.token else hidden)
    return pending.defer("channel__logo").annotate(has_link=Case(When(is_shown, then=True), default=Value(False)))
