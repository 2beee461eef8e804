"""The consent page of an application (RFC 6749, section 4.1; PKCE: RFC 7636)."""

from typing import Any
from urllib.parse import urlsplit

from allauth.idp.oidc.models import Client
from allauth.idp.oidc.views import AuthorizationView
from django import forms
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from channels_app.accounts.allauth_internals import authorization_request
from channels_app.accounts.oauth import applications, scopes
from hub.http.content_policy import allow_form_action


@method_decorator(never_cache, name="dispatch")
class Consent(AuthorizationView):  # type: ignore[misc]
    template_name = "oauth/consent.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Render allauth's page with the scopes that the client may have, and with PKCE and consent enforced."""
        query = request.GET.copy()
        query["scope"] = scopes.granted_scopes(query.get("scope", ""), query.get("client_id", ""))
        if query.get("code_challenge_method") != "S256":
            # oauthlib accepts "plain", and reads a missing method as "plain". It refuses an unknown method.
            query["code_challenge_method"] = "not S256"
        if "none" in query.get("prompt", "").split():
            # Any program can impersonate a client without a secret, so consent is always asked (RFC 8252, section 8.6).
            del query["prompt"]
        request.GET = query  # type: ignore[assignment]
        request.META["QUERY_STRING"] = query.urlencode()
        response: HttpResponse = super().get(request, *args, **kwargs)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the scopes, their descriptions and the host of the redirect URI to allauth's `client` and `form`."""
        asked = authorization_request(self)
        host = urlsplit(asked.redirect_uri).hostname
        ours = {"scopes": asked.scopes, "rights": scopes.in_words(asked.scopes), "host": host}
        return {**super().get_context_data(**kwargs), **ours}

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """Allow the redirect URI in form-action: Chromium applies it to redirects after a form, too."""
        response: HttpResponse = super().render_to_response(context, **kwargs)
        allow_form_action(response, form_action(authorization_request(self).redirect_uri))
        return response

    @transaction.atomic
    def form_valid(self, form: forms.Form) -> HttpResponse:
        client = Client.objects.get(pk=authorization_request(self).client_id)
        applications.note_grant(user=self.request.user, client=client, scopes=form.cleaned_data["scopes"])
        response: HttpResponse = super().form_valid(form)
        return response


def form_action(redirect_uri: str) -> str:
    """Return the URI's origin as a Content-Security-Policy source; its scheme if the origin can't be one."""
    url = urlsplit(redirect_uri)
    host = url.hostname or ""
    if url.scheme not in ("http", "https") or ":" in host:
        return f"{url.scheme}:"
    return f"{url.scheme}://{host}:{url.port}" if url.port else f"{url.scheme}://{host}"
