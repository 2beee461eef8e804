"""The members of a channel: the list, adding, changing and removing."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app import authentication, members, settings_queries
from channels_app.access import Actor, Permission, page_channel, permissions
from channels_app.models import Channel, Member, Role
from channels_app.settings_forms import MemberForm
from channels_app.settings_pages import page, sent
from hub.errors import HubError, bad_request

MEMBERS_A_PAGE = 25


@require_http_methods(["GET", "HEAD", "POST"])
def members_page(request: HttpRequest, channel: str) -> HttpResponse:
    """`action` says what a POST does: add, change or remove."""
    actor = authentication.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    may_own = Permission.OWN in permissions(actor, shown)
    form = MemberForm(may_own, sent(request, "add"))
    if request.method != "POST" or (form.is_bound and not form.is_valid()):
        return _page(request, shown, form, may_own)
    try:
        messages.success(request, _act(request, actor, shown))
    except HubError as error:
        if form.is_bound:
            form.add_error("username", error.detail)
            return _page(request, shown, form, may_own)
        messages.error(request, error.detail)
    # Who has just given up managing has no business on this page any more.
    stays = Permission.MANAGE in permissions(actor, shown)
    return redirect("channel-members" if stays else "channel", channel)


def _act(request: HttpRequest, actor: Actor, channel: Channel) -> str:
    """Do what was asked; returns the sentence that says so."""
    username, role = _text(request.POST, "username"), _text(request.POST, "role")
    match request.POST.get("action"):
        case "add":
            member = members.add(actor=actor, channel=channel, username=username, role=role)
            return f"{member.user} is a member now: {member.role}."
        case "change":
            member = members.change(actor=actor, channel=channel, username=username, role=role)
            return f"The role of {member.user} is {member.role} now; it holds from the next request on."
        case "remove":
            members.remove(actor=actor, channel=channel, username=username)
            return f"{username} is no member of {channel} any more, and nor are the keys of {username}."
    raise bad_request("bad_action", "The form says nothing that can be done; load the page again.")


def _page(request: HttpRequest, channel: Channel, form: MemberForm, may_own: bool) -> HttpResponse:
    text, role = _text(request.GET, "q"), _text(request.GET, "role")
    found = settings_queries.member_list(channel, text=text, role=role if role in Role.values else "")
    return page(
        request,
        channel,
        "members",
        form=form,
        members=Paginator(found, MEMBERS_A_PAGE).get_page(request.GET.get("page")),
        total=Member.objects.filter(channel=channel).count(),
        may_own=may_own,
        q=text,
        role=role,
        roles=settings_queries.ROLES,
        role_table=settings_queries.role_table(),
        asked=_asked(request, channel),
    )


def _asked(request: HttpRequest, channel: Channel) -> dict[str, object] | None:
    """What the reader is asked once more before it is done: ?remove=<user name>, or ?change=<user name>&to=<role>."""
    username = _text(request.GET, "remove") or _text(request.GET, "change")
    if not username:
        return None
    member = Member.objects.filter(channel=channel, user__username=username).select_related("user").first()
    to = "" if "remove" in request.GET else _text(request.GET, "to")
    return {"member": member, "to": to} if member and to in ("", *Role.values) else None


def _text(values: QueryDict, name: str) -> str:
    """A value as it can be looked for in the database."""
    return str(values.get(name, "")).replace("\0", "").strip()[:150]
