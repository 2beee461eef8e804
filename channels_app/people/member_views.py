"""Pages of a channel's members: list, search, add, change, remove, invite, leave."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access import permissions, user_names
from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.audit import mailing
from channels_app.authentication import actors
from channels_app.models import Channel, Invitation, Member, Role
from channels_app.people import invitation_mails, invitations, member_queries, members, sole_owners
from channels_app.people.teams import is_name as names_team
from channels_app.ui.settings_page import page
from hub.errors import HubError, bad_request

MEMBERS_A_PAGE = 25
FIND_MIN_CHARACTERS = 2


@require_http_methods(["GET", "HEAD", "POST"])
def members_page(request: HttpRequest, channel: str) -> HttpResponse:
    """List the members. A POST does its `action` to the `username`, `team` or `email`."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    if request.method != "POST":
        return _page(request, actor, shown)
    try:
        messages.success(request, _act(request, actor, shown))
    except HubError as error:
        messages.error(request, error.detail)
    # The user may just have given up the right to see this page.
    stays = Permission.MANAGE in permissions.permissions(actor, shown)
    return redirect("channel-members" if stays else "channel", channel)


def _act(request: HttpRequest, actor: Actor, channel: Channel) -> str:
    """Do the posted action. Return the message for the user."""
    role, email = _text(request.POST, "role"), _text(request.POST, "email")
    names = {"username": _text(request.POST, "username"), "team": _text(request.POST, "team")}
    match request.POST.get("action"):
        case "add" if email or not members.may_add(actor, team=names["team"]):
            return _invited(invitations.invite(actor=actor, channel=channel, role=role, email=email, **names))
        case "add":
            member = members.add(actor=actor, channel=channel, role=role, **names)
            return f"{members.name_of(member)} is now a member: {member.role}."
        case "change" if role == Role.OWNER and names["username"] and not members.may_add(actor):
            return _invited(invitations.invite(actor=actor, channel=channel, role=role, **names))
        case "change":
            member = members.change(actor=actor, channel=channel, role=role, **names)
            return f"The role of {members.name_of(member)} is now {member.role} and applies from the next request."
        case "remove":
            members.remove(actor=actor, channel=channel, **names)
            return _removed(channel, **names)
        case "withdraw":
            invited = _text(request.POST, "who")
            invitations.withdraw(actor=actor, channel=channel, name_or_address=invited)
            return f"The invitation of {invited} was withdrawn; its link no longer works."
    raise bad_request("bad_action", "Unknown action. Reload the page.")


def _invited(invitation: Invitation) -> str:
    """Return the message after an invitation. It promises no mail if no mail server is configured."""
    if not invitation.email:
        role = "an owner" if invitation.role == Role.OWNER else "a member"
        return f"{invitation.invitee_name} is invited, and is {role} once the invitation is accepted."
    if not mailing.is_set_up():
        return (
            f"{invitation.invitee_name} is invited. No mail is sent, since no mail server is configured: "
            "send them the link below."
        )
    return (
        f"{invitation.invitee_name} is invited. The mail is sent in a moment; "
        "the list below shows whether that succeeded."
    )


def _removed(channel: Channel, username: str, team: str) -> str:
    if team:
        return (
            f"team {team} is no longer a member of {channel}; its people lose the rights that came only from the team."
        )
    if teams := members.teams_between(channel, username):
        return f"{username} is now a member of {channel} only through the team {' and '.join(teams)}."
    return f"{username} is no longer a member of {channel}; keys of {username} lose their rights there."


def _page(request: HttpRequest, actor: Actor, channel: Channel) -> HttpResponse:
    may_own = Permission.OWN in permissions.permissions(actor, channel)
    text, role = _text(request.GET, "q"), _text(request.GET, "role")
    found = member_queries.member_list(channel, text=text, role=role if role in Role.values else "")
    return page(
        request,
        channel,
        "members",
        members=Paginator(found, MEMBERS_A_PAGE).get_page(request.GET.get("page")),
        total=Member.objects.filter(channel=channel).count(),
        may_own=may_own,
        roles=permissions.ROLES,
        givable=[each for each in permissions.ROLES if may_own or each != Role.OWNER],
        q=text,
        role=role,
        role_table=member_queries.role_table(),
        pending=[(each, invitation_mails.link_of(each)) for each in member_queries.pending_invitations(channel)],
        has_mail=mailing.is_set_up(),
        adds=members.may_add(actor),
        to_confirm=_to_confirm(request, channel),
        **_found(request, actor, channel),
    )


def _found(request: HttpRequest, actor: Actor, channel: Channel) -> dict[str, Any]:
    """Return the matches of `?find=`: users and teams by name, or an address to invite."""
    text = _text(request.GET, "find")
    if len(text) < FIND_MIN_CHARACTERS:
        return {"find": text}
    users, teams = member_queries.candidates(actor, channel, text)
    email = text if _is_email(text) else ""
    is_listed = any(user.username.lower() == text.lower() for user in users)
    name = "" if email or is_listed or not user_names.is_possible(text) else text
    team = text if names_team(text) and not any(each.name == text for each in teams) else ""
    return {"find": text, "users": users, "teams": teams, "email": email, "name": name, "team": team}


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _to_confirm(request: HttpRequest, channel: Channel) -> dict[str, object] | None:
    """Return the action to confirm.

    `?remove=<user name>`, `?remove-team=<team>`, or `?change=<user name>&to=<role>`.
    """
    username, team = _text(request.GET, "remove") or _text(request.GET, "change"), _text(request.GET, "remove-team")
    member = members.named(channel, username, team) if username or team else None
    to = _text(request.GET, "to") if "change" in request.GET else ""
    if member is None or to not in ("", *Role.values):
        return None
    teams = members.teams_between(channel, username) if member.user else []
    return {"member": member, "name": members.name_of(member), "to": to, "teams": teams}


def _text(values: QueryDict, name: str) -> str:
    """Return a value without NUL characters, at most 254 characters long."""
    return str(values.get(name, "")).replace("\0", "").strip()[:254]


@require_http_methods(["GET", "HEAD", "POST"])
def leave(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the consequences of leaving, and leave. For members of every role."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel)
    username = actor.user.username if actor.user else ""
    member, teams = members.named(shown, username), members.teams_between(shown, username)
    if member is None and not teams:
        raise PermissionDenied(f"You are not a member of '{shown}', so you can't leave it.")
    error = None
    if request.method == "POST":
        try:
            members.leave(actor=actor, channel=shown)
        except HubError as refusal:
            error = refusal
        else:
            messages.success(request, f"You have left {shown}.")
            return redirect("channels")
    is_last_owner = member is not None and sole_owners.is_last_owner(member)
    return page(request, shown, "leave", member=member, teams=teams, is_last_owner=is_last_owner, error=error)
