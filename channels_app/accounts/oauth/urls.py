"""URLs of the provider, with the names that allauth expects. allauth's other URLs are not served."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.idp.oidc import views
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from channels_app.accounts.allauth_internals import basic_auth
from channels_app.accounts.oauth import application_views, consent, device, discovery, tokens
from hub.errors import bad_request


def reject_nul_bytes(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Refuse NUL characters, which no OAuth parameter holds. allauth would pass them to the database."""

    @wraps(view)
    def checked(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        sent = [value for form in (request.GET, request.POST) for value in form.values()]
        if any("\0" in (value or "") for value in (*sent, *basic_auth(request))):
            raise bad_request("nul", "A parameter holds a NUL character; expected text without any.")
        return view(request, **kwargs)

    return checked


oidc = [
    path(".well-known/openid-configuration", discovery.configuration, name="configuration"),
    path(".well-known/oauth-authorization-server", discovery.configuration, name="server_metadata"),
    path(".well-known/jwks.json", views.jwks, name="jwks"),
    path("identity/o/authorize", reject_nul_bytes(consent.Consent.as_view()), name="authorization"),
    path("identity/o/device", reject_nul_bytes(device.page), name="device_authorization"),
    path("identity/o/api/device/code", reject_nul_bytes(device.code), name="device_code"),
    path("identity/o/api/token", reject_nul_bytes(tokens.token), name="token"),
    path("identity/o/api/revoke", reject_nul_bytes(tokens.revoke), name="revoke"),
    path("identity/o/api/userinfo", views.user_info, name="userinfo"),
]
idp = [path("", include((oidc, "oidc")))]

urlpatterns = [
    path("", include((idp, "idp"))),
    path("account/applications", application_views.page, name="account-applications"),
]
