"""The members of a channel: the list, finding and adding, changing and removing, and invitations by mail."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app import authentication, mailing, queries, settings_queries, user_names
from channels_app.access import Actor, Permission, page_channel, permissions
from channels_app.models import Channel, Invitation, Member, Role
from channels_app.people import invitation_mails, invitations, members
from channels_app.people.teams import is_name as names_team
from channels_app.settings_pages import page
from hub.errors import HubError, bad_request

MEMBERS_A_PAGE = 25
FIND_MIN_CHARACTERS = 2


@require_http_methods(["GET", "HEAD", "POST"])
def members_page(request: HttpRequest, channel: str) -> HttpResponse:
    """`action` says what a POST does, to the `username`, `team` or `email` beside it."""
    actor = authentication.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    if request.method != "POST":
        return _page(request, actor, shown)
    try:
        messages.success(request, _act(request, actor, shown))
    except HubError as error:
        messages.error(request, error.detail)
    # Who has just given up managing has no business on this page any more.
    stays = Permission.MANAGE in permissions(actor, shown)
    return redirect("channel-members" if stays else "channel", channel)


def _act(request: HttpRequest, actor: Actor, channel: Channel) -> str:
    """Do what was asked; returns the sentence that says so."""
    role, email = _text(request.POST, "role"), _text(request.POST, "email")
    who = {"username": _text(request.POST, "username"), "team": _text(request.POST, "team")}
    match request.POST.get("action"):
        case "add" if email or not members.may_add(actor, team=who["team"]):
            return _invited(invitations.invite(actor=actor, channel=channel, role=role, email=email, **who))
        case "add":
            member = members.add(actor=actor, channel=channel, role=role, **who)
            return f"{members.name_of(member)} is a member now: {member.role}."
        case "change" if role == Role.OWNER and who["username"] and not members.may_add(actor):
            return _invited(invitations.invite(actor=actor, channel=channel, role=role, **who))
        case "change":
            member = members.change(actor=actor, channel=channel, role=role, **who)
            return f"The role of {members.name_of(member)} is {member.role} now; it holds from the next request on."
        case "remove":
            members.remove(actor=actor, channel=channel, **who)
            return _removed(channel, **who)
        case "withdraw":
            asked = _text(request.POST, "who")
            invitations.withdraw(actor=actor, channel=channel, who=asked)
            return f"The invitation of {asked} is withdrawn; its link is good for nothing any more."
    raise bad_request("bad_action", "The form says nothing that can be done; load the page again.")


def _invited(invitation: Invitation) -> str:
    """Say how it goes on: no mail is promised where no mail server is set up."""
    if not invitation.email:
        whom = "an owner" if invitation.role == Role.OWNER else "a member"
        return f"{invitation.who} is invited, and is {whom} once the invitation is accepted."
    if not mailing.is_set_up():
        return (
            f"{invitation.who} is invited. No mail goes out, since no mail server is set up: hand over the link below."
        )
    return f"{invitation.who} is invited. The mail is sent in a moment; the list below says whether it went out."


def _removed(channel: Channel, username: str, team: str) -> str:
    if team:
        return f"team {team} is no member of {channel} any more; what its people could do by it alone has ended."
    if teams := members.teams_between(channel, username):
        return f"{username} is a member of {channel} only by the team {' and '.join(teams)} now."
    return f"{username} is no member of {channel} any more, and nor are the keys of {username}."


def _page(request: HttpRequest, actor: Actor, channel: Channel) -> HttpResponse:
    may_own = Permission.OWN in permissions(actor, channel)
    text, role = _text(request.GET, "q"), _text(request.GET, "role")
    found = settings_queries.member_list(channel, text=text, role=role if role in Role.values else "")
    return page(
        request,
        channel,
        "members",
        members=Paginator(found, MEMBERS_A_PAGE).get_page(request.GET.get("page")),
        total=Member.objects.filter(channel=channel).count(),
        may_own=may_own,
        roles=queries.ROLES,
        givable=[each for each in queries.ROLES if may_own or each != Role.OWNER],
        q=text,
        role=role,
        role_table=settings_queries.role_table(),
        pending=[(each, invitation_mails.link_of(each)) for each in settings_queries.pending_invitations(channel)],
        has_mail=mailing.is_set_up(),
        adds=members.may_add(actor),
        asked=_asked(request, channel),
        **_found(request, actor, channel),
    )


def _found(request: HttpRequest, actor: Actor, channel: Channel) -> dict[str, Any]:
    """What `?find=` finds: users and teams by name, or an address to invite."""
    text = _text(request.GET, "find")
    if len(text) < FIND_MIN_CHARACTERS:
        return {"find": text}
    users, teams = settings_queries.candidates(actor, channel, text)
    email = text if _is_email(text) else ""
    is_listed = any(user.username.lower() == text.lower() for user in users)
    name = "" if email or is_listed or not user_names.may_be(text) else text
    team = text if names_team(text) and not any(each.name == text for each in teams) else ""
    return {"find": text, "users": users, "teams": teams, "email": email, "name": name, "team": team}


def _is_email(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _asked(request: HttpRequest, channel: Channel) -> dict[str, object] | None:
    """What the reader is asked once more before it is done: ?remove=<user name>, ?remove-team=<team>, or
    ?change=<user name>&to=<role>.
    """
    username, team = _text(request.GET, "remove") or _text(request.GET, "change"), _text(request.GET, "remove-team")
    member = members.named(channel, username, team) if username or team else None
    to = _text(request.GET, "to") if "change" in request.GET else ""
    if member is None or to not in ("", *Role.values):
        return None
    teams = members.teams_between(channel, username) if member.user else []
    return {"member": member, "name": members.name_of(member), "to": to, "teams": teams}


def _text(values: QueryDict, name: str) -> str:
    """A value as it can be looked for in the database."""
    return str(values.get(name, "")).replace("\0", "").strip()[:254]
