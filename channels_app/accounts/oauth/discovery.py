"""Metadata for clients that sign people in (OpenID Connect Discovery 1.0 and RFC 8414)."""

from allauth.idp.oidc.models import Client
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from channels_app.accounts.oauth.scopes import WORDS

CLIENT_AUTHENTICATION = ["none", "client_secret_basic", "client_secret_post"]


@require_safe
def configuration(request: HttpRequest) -> JsonResponse:
    """Return the metadata. Every URL begins with the public URL, never with the request's host."""
    return JsonResponse(
        {
            "issuer": settings.HUB_PUBLIC_URL,
            "authorization_endpoint": _url("authorization"),
            "token_endpoint": _url("token"),
            "device_authorization_endpoint": _url("device_code"),
            "revocation_endpoint": _url("revoke"),
            "userinfo_endpoint": _url("userinfo"),
            "jwks_uri": _url("jwks"),
            "scopes_supported": list(WORDS),
            "response_types_supported": ["code"],
            "grant_types_supported": [
                Client.GrantType.AUTHORIZATION_CODE,
                Client.GrantType.DEVICE_CODE,
                Client.GrantType.REFRESH_TOKEN,
            ],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
            "revocation_endpoint_auth_methods_supported": CLIENT_AUTHENTICATION,
            "service_documentation": f"{settings.HUB_PUBLIC_URL}{reverse('doc', args=['private-channels'])}",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        },
        headers={"Access-Control-Allow-Origin": "*"},
    )


def _url(name: str) -> str:
    return f"{settings.HUB_PUBLIC_URL}{reverse(f'idp:oidc:{name}')}"
