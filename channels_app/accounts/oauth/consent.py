"""The page that asks whether an application may act in one's name (RFC 6749, section 4.1; PKCE by RFC 7636)."""

from typing import Any
from urllib.parse import urlsplit

from allauth.idp.oidc.models import Client
from allauth.idp.oidc.views import AuthorizationView
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from channels_app.accounts.oauth import applications, scopes


@method_decorator(never_cache, name="dispatch")
class Consent(AuthorizationView):  # type: ignore[misc]
    template_name = "oauth/consent.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """allauth's page, for what the query means rather than says."""
        query = request.GET.copy()
        query["scope"] = scopes.meant(query.get("scope", ""), query.get("client_id", ""))
        if query.get("code_challenge_method") != "S256":
            # oauthlib takes "plain", and nothing for "plain"; what it does not know, it refuses.
            query["code_challenge_method"] = "not S256"
        if "none" in query.get("prompt", "").split():
            # Any program can pretend to be a client without a secret: nobody is let in unasked (RFC 8252, section 8.6).
            del query["prompt"]
        request.GET = query  # type: ignore[assignment]
        request.META["QUERY_STRING"] = query.urlencode()
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """client, form, scopes; then what they allow, and the host that is answered to."""
        redirect = urlsplit(self._request_info["redirect_uri"])
        shown = {"scopes": self._scopes, "rights": scopes.in_words(self._scopes), "host": redirect.hostname}
        return {**super().get_context_data(**kwargs), **shown}

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """Chromium holds what a form's answer redirects to against form-action, too."""
        response: HttpResponse = super().render_to_response(context, **kwargs)
        source = form_action(self._request_info["redirect_uri"])
        setattr(response, "_csp_update", {"form-action": [source]})  # noqa: B010  (as django-csp's decorators do)
        return response

    @transaction.atomic
    def form_valid(self, form: forms.Form) -> HttpResponse:
        client = Client.objects.get(pk=self._request_info["client_id"])
        applications.note_grant(user=self.request.user, client=client, scopes=form.cleaned_data["scopes"])
        response: HttpResponse = super().form_valid(form)
        return response


def form_action(redirect_uri: str) -> str:
    """The origin as a source of the Content-Security-Policy; its scheme, where an origin can't be written as one."""
    url = urlsplit(redirect_uri)
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or ":" in host:
        return f"{url.scheme}:"
    return f"{url.scheme}://{host}:{url.port}" if url.port else f"{url.scheme}://{host}"
