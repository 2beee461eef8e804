"""Pages of invitations for their recipients: view, accept, decline, and the list of one's own.

The link redirects at once to an address without the secret. The session keeps its SHA-256, so that the invitation is
still available after sign-in or sign-up.
"""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from channels_app.authentication import actors
from channels_app.models import Invitation, TeamMember, User
from channels_app.people import invitations, members
from channels_app.people.invitation_rules import refusal
from channels_app.ui.ids import stated_id
from hub.errors import HubError
from hub.http.middleware import INVITATION_KEY

IN_SESSION = "invitation"  # the SHA-256 of the link that was followed last


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_page(request: HttpRequest) -> HttpResponse:
    secret = request.META.get(INVITATION_KEY)
    if secret is not None:
        return _followed(request, secret)
    invitation = invitations.find(request.session.get(IN_SESSION, ""))
    if invitation is None:
        return render(request, "people/invitation_gone.html", status=404)
    user = request.user
    if request.method == "POST" and isinstance(user, User):
        try:
            return _answer_and_forget(request, user, invitation)
        except HubError as error:
            messages.error(request, error.detail)
            return redirect("invitation")
    context = {
        "invitation": invitation,
        "refusal": refusal(user, invitation) if isinstance(user, User) else None,
        "may_sign_up": get_adapter(request).is_open_for_signup(request),
    }
    return render(request, "people/invitation.html", context)


def _followed(request: HttpRequest, secret: str) -> HttpResponse:
    digest = invitations.digest_of(secret)
    if invitations.find(digest):
        request.session[IN_SESSION] = digest
    response = redirect("invitation")
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def mine(request: HttpRequest) -> HttpResponse:
    """List the user's pending invitations. A POST answers the one with the id `invitation`."""
    user = actors.person(request)
    waiting = invitations.mine(user)
    if request.method != "POST":
        return render(request, "account/invitations.html", {"invitations": waiting})
    pk = request.POST.get("invitation", "")
    invitation = waiting.filter(pk=stated_id(pk)).first()
    if invitation is None:
        messages.error(
            request, "The invitation is no longer valid: it was used, withdrawn or sent again, or it has expired."
        )
        return redirect("account-invitations")
    try:
        return _answer(request, user, invitation)
    except HubError as error:
        messages.error(request, error.detail)
        return redirect("account-invitations")


def _answer_and_forget(request: HttpRequest, user: User, invitation: Invitation) -> HttpResponse:
    response = _answer(request, user, invitation)
    del request.session[IN_SESSION]
    return response


def _answer(request: HttpRequest, user: User, invitation: Invitation) -> HttpResponse:
    target = f"the team {invitation.to_team}" if invitation.to_team else str(invitation.channel)
    if request.POST.get("action") == "decline":
        invitations.decline(user=user, invitation=invitation)
        messages.success(request, f"You have declined the invitation to {target}.")
        return redirect("home")
    joined = invitations.accept(user=user, invitation=invitation)
    if isinstance(joined, TeamMember):
        messages.success(request, f"You are in {target} now.")
        return redirect("team", joined.team.name)
    subject = members.name_of(joined).capitalize() + " is" if joined.team else "You are"
    messages.success(request, f"{subject} a member of {joined.channel} now: {joined.role}.")
    return redirect("channel", joined.channel.name)
