"""Proving once more who one is, before what would hurt most in the hands of whoever finds an open browser."""

import time
from typing import Any
from urllib.parse import urlencode

from allauth.account import app_settings
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import suspend_request
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from allauth.socialaccount.models import SocialAccount
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from channels_app.access import acts
from hub.http.middleware import SAFE_METHODS, GetResponse


def require_recent_login(get_response: GetResponse) -> GetResponse:
    """Ask for the proof before an act of acts.ACTS; sessions alone are asked, keys and tokens reach no such route.

    It is decided by what is posted alone: by what there is, the question would tell strangers of it.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
            match = request.resolver_match
            if request.method in SAFE_METHODS or match is None:
                return None
            if not any(place.is_meant(request.POST) for place in acts.places(match.view_name)):
                return None
            return ask(request) if request.user.is_authenticated and not is_fresh(request) else None

    return Middleware()


def is_fresh(request: HttpRequest) -> bool:
    """Whether the user signed in, or proved again who they are, within ACCOUNT_REAUTHENTICATION_TIMEOUT."""
    oldest = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
    return any(record["at"] > oldest for record in get_authentication_records(request, request.user))


def is_missing(request: HttpRequest) -> bool:
    """Tell whether there is no fresh proof, and something to prove it by."""
    if is_fresh(request):
        return False
    has_account = SocialAccount.objects.filter(user=request.user.pk).exists()
    return has_account or bool(get_adapter().get_reauthentication_methods(request.user))


def ask(request: HttpRequest) -> HttpResponse | None:
    """To the page for it: by password or second factor, else by signing in with their provider once more.

    A provider's answer begins a new session, so the form has to be sent again; otherwise it goes on where it stopped.
    None where there is nothing to prove it by: a dead end would keep them from ever getting a password.
    """
    methods = get_adapter().get_reauthentication_methods(request.user)
    if methods:
        address = methods[0]["url"]
        suspend_request(request, address)
        # Without the query, which is kept with the form: allauth goes on with a form only where there is none.
        return redirect(f"{address}?{urlencode({'next': request.path})}")
    account = SocialAccount.objects.filter(user=request.user.pk).first()
    if account is None:
        return None
    provider = get_social_adapter().get_provider(request, account.provider)
    return redirect(provider.get_login_url(request, process="login", next=request.get_full_path()))
