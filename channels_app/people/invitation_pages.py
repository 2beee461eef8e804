"""An invitation as the invited see it: what it is for, accepting, declining.

The link's secret goes out of the address at once: what is kept of it, in the session, is its SHA-256, so that the
invitation is still there after signing in or up.
"""

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from channels_app.models import Invitation, User
from channels_app.people import invitations
from hub.errors import HubError
from hub.middleware import INVITATION_KEY

IN_SESSION = "invitation"  # the SHA-256 of the link that was followed last


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_page(request: HttpRequest) -> HttpResponse:
    secret = request.META.get(INVITATION_KEY)
    if secret is not None:
        return _followed(request, secret)
    invitation = invitations.find(request.session.get(IN_SESSION, ""))
    if invitation is None:
        return render(request, "invitation_gone.html", status=404)
    user = request.user
    if request.method == "POST" and isinstance(user, User):
        try:
            return _answered(request, user, invitation)
        except HubError as error:
            messages.error(request, error.detail)
            return redirect("invitation")
    context = {
        "invitation": invitation,
        "refusal": invitations.refusal(user, invitation) if isinstance(user, User) else None,
        "may_sign_up": get_adapter(request).is_open_for_signup(request),
    }
    return render(request, "invitation.html", context)


def _followed(request: HttpRequest, secret: str) -> HttpResponse:
    digest = invitations.digest_of(secret)
    if invitations.find(digest):
        request.session[IN_SESSION] = digest
    response = redirect("invitation")
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _answered(request: HttpRequest, user: User, invitation: Invitation) -> HttpResponse:
    if request.POST.get("action") == "decline":
        invitations.decline(user=user, invitation=invitation)
        messages.success(request, f"You have declined the invitation to {invitation.channel}.")
        response = redirect("home")
    else:
        member = invitations.accept(user=user, invitation=invitation)
        messages.success(request, f"You are a member of {member.channel} now: {member.role}.")
        response = redirect("channel", member.channel.name)
    del request.session[IN_SESSION]
    return response
