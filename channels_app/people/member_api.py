"""`/api/v1/channels/CHANNEL/members`: the users and teams of a channel."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import ConfigDict, model_validator

from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.models import Channel, Member, Role
from channels_app.people import invitations, member_queries, members
from channels_app.people.invitation_api import SentInvitation, sent
from channels_app.rest.bodies import Body, with_value
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of
from hub.errors import not_found

router = Router(tags=["Members"])
Name = Annotated[str, Field(max_length=254)]
Kind = Literal["users", "teams"]
MEMBER = "/channels/{channel}/members/{kind}/{name}"


class MemberState(Schema):
    """A user or a team with a role in the channel."""

    kind: Literal["user", "team"]
    name: str
    role: Role
    people: int | None = Field(description="Active people of a team; null for a user.")
    created_at: datetime

    @staticmethod
    def resolve_kind(member: Member) -> str:
        return "team" if member.team_id else "user"

    @staticmethod
    def resolve_people(member: Any) -> int | None:
        return member.people if member.team_id else None


class NewMember(Body):
    """A user, an e-mail address or a team to add or invite."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [with_value(name) for name in ("username", "email", "team")]})

    username: Name = ""
    email: Name = ""
    team: Name = ""
    role: Role

    @model_validator(mode="after")
    def _name_one(self) -> "NewMember":
        if sum(map(bool, (self.username, self.email, self.team))) != 1:
            raise ValueError("expected one of username, email and team")
        return self


class RoleChange(Body):
    """The new role of a member."""

    role: Role


@router.get("/channels/{channel}/members", response=list[MemberState], url_name="channel-members")
@paginate(Pages, ordering=("name", "pk"))
def list_members(
    request: Request, channel: str, search: Annotated[str, Query(max_length=200)] = "", role: Role | None = None
) -> QuerySet[Member]:
    """List the members by name; with `search`, those with this text in their names."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return member_queries.member_list(found, text=search, role=role or "")


@router.post(
    "/channels/{channel}/members", response={201: MemberState, 202: SentInvitation}, openapi_extra=SESSION_ONLY
)
def add_member(request: Request, channel: str, new: NewMember) -> Status[Any]:
    """Invite a user or a team (202).

    Administrators add users at once, and managers of a team add it at once (201). An invitation that is pending is
    sent again.
    """
    found = channel_for(request.auth, channel, Permission.MANAGE)
    user_of(request)
    if new.email or not members.may_add(request.auth, team=new.team):
        return _invite(request, found, **new.model_dump())
    names = {"username": new.username, "team": new.team}
    member = members.add(actor=request.auth, channel=found, role=new.role, **names)
    return Status(201, member_queries.member_list(found).get(pk=member.pk))


@router.get(MEMBER, response=MemberState, url_name="channel-member")
def get_member(request: Request, channel: str, kind: Kind, name: str) -> Member:
    return _member(channel_for(request.auth, channel, Permission.MANAGE), kind, name)


@router.patch(MEMBER, response={200: MemberState, 202: SentInvitation}, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_member(request: Request, channel: str, kind: Kind, name: str, change: RoleChange) -> Status[Any]:
    """Change the role (200). A new owner is invited first (202), except by administrators."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    user_of(request)
    if change.role == Role.OWNER and kind == "users" and not members.may_add(request.auth):
        _lock_and_match(request, found, kind, name)
        return _invite(request, found, username=name, role=change.role)
    with transaction.atomic():
        _lock_and_match(request, found, kind, name)
        members.change(actor=request.auth, channel=found, role=change.role, **_names(kind, name))
    return Status(200, _member(found, kind, name))


@router.delete(MEMBER, response={204: None}, openapi_extra=IF_MATCH | SESSION_ONLY)
def remove_member(request: Request, channel: str, kind: Kind, name: str) -> Status[None]:
    """Remove the member."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    user_of(request)
    with transaction.atomic():
        _lock_and_match(request, found, kind, name)
        members.remove(actor=request.auth, channel=found, **_names(kind, name))
    return Status(204, None)


@router.post("/channels/{channel}/leave", response={204: None}, url_name="channel-leave", openapi_extra=SESSION_ONLY)
def leave_channel(request: Request, channel: str) -> Status[None]:
    """Give up the signed-in user's own role in the channel."""
    user_of(request)
    members.leave(actor=request.auth, channel=channel_for(request.auth, channel, Permission.READ))
    return Status(204, None)


def _invite(request: Request, channel: Channel, **invited: str) -> Status[Any]:
    invitation = invitations.invite(actor=request.auth, channel=channel, **invited)
    return Status(202, sent(request.auth, channel).get(pk=invitation.pk))


@transaction.atomic
def _lock_and_match(request: Request, channel: Channel, kind: Kind, name: str) -> None:
    """Raise HubError 412 if the member is not in the state of `If-Match`, and 404 if there is no such member."""
    locked = lock_channel(request.auth, channel, Permission.MANAGE)
    check_match(request, MemberState.from_orm(_member(locked, kind, name)))


def _member(channel: Channel, kind: Kind, name: str) -> Member:
    names = _names(kind, name)
    member = members.named(channel, **names)
    if member is None:
        raise not_found("no_such_member", f"'{name[:150]}' is not a member of '{channel}'.")
    return member_queries.member_list(channel).get(pk=member.pk)


def _names(kind: Kind, name: str) -> dict[str, str]:
    return {"username": "", "team": name} if kind == "teams" else {"username": name, "team": ""}
