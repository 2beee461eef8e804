"""`/api/v1/teams`: the teams of the signed-in user, with their people and invitations. All of it requires a session."""

from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.models import Invitation, Member, Team, TeamMember, User
from channels_app.people import invitations, team_queries, teams
from channels_app.people.invitation_api import InvitationState
from channels_app.rest.bodies import Body
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of
from hub.errors import forbidden, not_found

router = Router(tags=["Teams"])
PEOPLE = "/teams/{team}/members"
Description = Annotated[str, Field(max_length=500)]


class TeamState(Schema):
    """A team. Its people and administrators can see it."""

    name: str
    description: str
    group: str = Field(description="PROVIDER:GROUP, whose users join by signing in; empty without one.")
    people: int = Field(description="Number of active people.")
    is_manager: bool = Field(description="Whether the signed-in user is a manager.")
    created_at: datetime

    @staticmethod
    def resolve_people(team: Any) -> int:
        size: int = team.size
        return size


class NewTeam(Body):
    """A team to create. The signed-in user becomes its manager."""

    name: str = Field(max_length=200)
    description: Description = ""


class TeamChange(Body):
    """Values to change. A value that is left out or null stays as it is."""

    name: str | None = Field(None, max_length=200)
    description: Description | None = None
    group: str | None = Field(None, max_length=200, description="Only administrators can set it.")


class PersonState(Schema):
    """A user in a team."""

    username: str
    is_manager: bool
    is_by_group: bool = Field(description="Whether the user joined by the group, and leaves with it.")
    created_at: datetime

    @staticmethod
    def resolve_username(member: TeamMember) -> str:
        return member.user.username


class NewPerson(Body):
    """A user to add or invite."""

    name_or_address: str = Field(max_length=254, description="A user name or an e-mail address.")


class PersonChange(Body):
    """The rights of a user in the team."""

    is_manager: bool


class TeamChannel(Schema):
    """A channel of which the team is a member."""

    name: str
    role: str

    @staticmethod
    def resolve_name(member: Member) -> str:
        return member.channel.name


@router.get("/teams", response=list[TeamState], url_name="teams", openapi_extra=SESSION_ONLY)
@paginate(Pages, ordering=("name",))
def list_teams(request: Request) -> QuerySet[Team]:
    """List the user's teams by name; for administrators all teams."""
    return team_queries.visible_teams(user_of(request))


@router.post("/teams", response={201: TeamState}, openapi_extra=SESSION_ONLY)
def create_team(request: Request, new: NewTeam, response: HttpResponse) -> Status[Any]:
    user = user_of(request)
    team = teams.create(user=user, name=new.name, description=new.description)
    response.headers["Location"] = f"{request.path}/{team.name}"
    return Status(201, _team(user, team.name))


@router.get("/teams/{team}", response=TeamState, url_name="team", openapi_extra=SESSION_ONLY)
def get_team(request: Request, team: str) -> Team:
    return _team(user_of(request), team)


@router.patch("/teams/{team}", response=TeamState, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_team(request: Request, team: str, change: TeamChange) -> Team:
    """Change name, description or group, as a manager."""
    user = user_of(request)
    with transaction.atomic():
        locked = teams.lock_team(user, _team(user, team))
        check_match(request, TeamState.from_orm(_team(user, locked.name)))
        values = {"name": locked.name, "description": locked.description, "group": locked.group}
        changed = teams.update(user=user, team=locked, **values | change.model_dump(exclude_none=True))
    return _team(user, changed.name)


@router.delete("/teams/{team}", response={204: None}, openapi_extra=IF_MATCH | SESSION_ONLY)
def delete_team(request: Request, team: str) -> Status[None]:
    """Delete the team, as a manager. Its people lose the rights that came from it. This can't be undone."""
    user = user_of(request)
    with transaction.atomic():
        locked = teams.lock_team(user, _team(user, team))
        check_match(request, TeamState.from_orm(_team(user, locked.name)))
        teams.delete(user=user, team=locked)
    return Status(204, None)


@router.get("/teams/{team}/channels", response=list[TeamChannel], url_name="team-channels", openapi_extra=SESSION_ONLY)
@paginate(Pages, ordering=("pk",))
def list_channels_of_team(request: Request, team: str) -> QuerySet[Member]:
    """List the team's channels that the user can see."""
    user = user_of(request)
    return team_queries.channels_of(user, _team(user, team))


@router.get(PEOPLE, response=list[PersonState], url_name="team-members", openapi_extra=SESSION_ONLY)
@paginate(Pages, ordering=("pk",))
def list_people(request: Request, team: str) -> QuerySet[TeamMember]:
    """List the people of the team in the order in which they joined."""
    return team_queries.people(_team(user_of(request), team))


@router.post(PEOPLE, response={201: PersonState, 202: InvitationState}, openapi_extra=SESSION_ONLY)
def add_person(request: Request, team: str, new: NewPerson) -> Status[Any]:
    """Invite a user, as a manager (202). Administrators add a user at once (201)."""
    user = user_of(request)
    found = _team(user, team)
    if user.is_superuser:
        return Status(201, teams.add(user=user, team=found, name_or_address=new.name_or_address))
    return Status(202, invitations.invite_into_team(user=user, team=found, name_or_address=new.name_or_address))


@router.get(f"{PEOPLE}/{{username}}", response=PersonState, url_name="team-member", openapi_extra=SESSION_ONLY)
def get_person(request: Request, team: str, username: str) -> TeamMember:
    return _person(_team(user_of(request), team), username)


@router.patch(f"{PEOPLE}/{{username}}", response=PersonState, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_person(request: Request, team: str, username: str, change: PersonChange) -> TeamMember:
    """Make the user a manager, or end that; as a manager."""
    user = user_of(request)
    with transaction.atomic():
        locked = teams.lock_team(user, _team(user, team))
        check_match(request, PersonState.from_orm(_person(locked, username)))
        return teams.set_manager(user=user, team=locked, username=username, is_manager=change.is_manager)


@router.delete(f"{PEOPLE}/{{username}}", response={204: None}, openapi_extra=IF_MATCH | SESSION_ONLY)
def remove_person(request: Request, team: str, username: str) -> Status[None]:
    """Remove the user, as a manager. Users can remove themselves."""
    user = user_of(request)
    with transaction.atomic():
        locked = teams.lock_team(user, _team(user, team), by_manager=user.username != username)
        check_match(request, PersonState.from_orm(_person(locked, username)))
        teams.remove(user=user, team=locked, username=username)
    return Status(204, None)


@router.get(
    "/teams/{team}/invitations", response=list[InvitationState], url_name="team-invitations", openapi_extra=SESSION_ONLY
)
@paginate(Pages, ordering=("-pk",))
def list_team_invitations(request: Request, team: str) -> QuerySet[Invitation]:
    """List the pending invitations to the team, the newest first; for managers."""
    user = user_of(request)
    return _pending(user, _team(user, team))


@router.delete(
    "/teams/{team}/invitations/{invitation}",
    response={204: None},
    url_name="team-invitation",
    openapi_extra=SESSION_ONLY,
)
def withdraw_team_invitation(request: Request, team: str, invitation: int) -> Status[None]:
    """Withdraw the invitation, as a manager. Its link stops working."""
    user = user_of(request)
    found = _team(user, team)
    pending = get_object_or_404(_pending(user, found), pk=invitation)
    invitations.withdraw_from_team(user=user, team=found, name_or_address=pending.invitee_name)
    return Status(204, None)


def _team(user: User, name: str) -> Team:
    """Return the team. Raise HubError 404 if there is none, or `user` is not in it."""
    team = team_queries.visible_teams(user).filter(name=name).first()
    if team is None:
        raise not_found("no_such_team", f"There is no team '{name[:100]}', or you are not in it.")
    return team


def _person(team: Team, username: str) -> TeamMember:
    member = team_queries.people(team).filter(user__username=username).first()
    if member is None:
        raise not_found("not_in_team", f"{username[:150]} is not in the team '{team}'.")
    return member


def _pending(user: User, team: Team) -> QuerySet[Invitation]:
    if not teams.manages(user, team):
        raise forbidden("managers_only", f"Only managers of the team '{team}' can see its invitations.")
    return team_queries.pending(team).select_related("to_team")
