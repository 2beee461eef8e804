"""Re-authentication: a recent sign-in, required before sensitive actions in a session."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import get_adapter
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from allauth.socialaccount.models import SocialAccount
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from channels_app.access import acts
from channels_app.accounts.allauth_internals import keep_form
from channels_app.authentication import actors
from hub.http.middleware import SAFE_METHODS, GetResponse

# The routes of re-authentication, with the only field of their forms.
FIELDS = {
    "account_reauthenticate": "password",
    "mfa_reauthenticate": "code",
    "mfa_reauthenticate_webauthn": "credential",
}
OF_EACH_FORM = {"csrfmiddlewaretoken", "next"}


def require_recent_login(get_response: GetResponse) -> GetResponse:
    """Ask for re-authentication before an act of `acts.ACTS`. Keys and tokens reach no such route.

    The decision depends only on the posted data. If it depended on the database, the question would reveal its content.
    """

    class Middleware:
        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_view(self, request: HttpRequest, *_: Any) -> HttpResponse | None:
            match = request.resolver_match
            if request.method in SAFE_METHODS or match is None:
                return None
            if match.view_name in FIELDS:
                return _sent_again(request, FIELDS[match.view_name])
            if not any(place.matches(request.POST) for place in acts.places(match.view_name)):
                return None
            return ask(request) if request.user.is_authenticated and not actors.is_fresh(request) else None

    return Middleware()


def is_missing(request: HttpRequest) -> bool:
    """Tell whether there is no recent sign-in, and the user has a method to re-authenticate."""
    if actors.is_fresh(request):
        return False
    has_account = SocialAccount.objects.filter(user=request.user.pk).exists()
    return has_account or bool(get_adapter().get_reauthentication_methods(request.user))


def ask(request: HttpRequest) -> HttpResponse | None:
    """Redirect to re-authentication by password or second factor, else to the user's provider.

    After a password or second factor the form is resumed. After a provider it has to be sent again, since the session
    is new. Return None if the user has no method: they could otherwise never set a password.
    """
    methods = get_adapter().get_reauthentication_methods(request.user)
    if methods:
        address = methods[0]["url"]
        keep_form(request, address)
        # allauth resumes a form only if `next` has no query, which is stored with the form.
        query = {"query": request.META["QUERY_STRING"]} if request.META.get("QUERY_STRING") else {}
        return redirect(f"{address}?{urlencode({'next': request.path} | query)}")
    account = SocialAccount.objects.filter(user=request.user.pk).first()
    if account is None:
        return None
    provider = get_social_adapter().get_provider(request, account.provider)
    return redirect(provider.get_login_url(request, process="login", next=request.get_full_path()))


def _sent_again(request: HttpRequest, field: str) -> HttpResponse | None:
    """Redirect a resumed form to its own address. It was shown with its faults below the address of the proof."""
    path, query = request.GET.get("next", ""), request.GET.get("query", "")
    is_proof = request.POST.keys() - OF_EACH_FORM == {field}
    if is_proof or not actors.is_fresh(request) or not url_has_allowed_host_and_scheme(path, allowed_hosts=None):
        return None
    return redirect(f"{path}?{query}" if query else path, preserve_request=True)
