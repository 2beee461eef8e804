"""Endpoints that issue, refresh and revoke tokens: those of allauth, with token families."""

import json
from hashlib import sha256

from allauth.idp.oidc.models import Client, Token
from allauth.idp.oidc.views import RevokeView, TokenView
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from channels_app.accounts.allauth_internals import basic_auth
from channels_app.accounts.oauth import applications, token_families

# An authorization code lives for a minute. A second use within a day revokes the tokens of the first.
CODE_REMEMBERED_S = 24 * 3600
UNUSED_FAMILY = ""
STAYS = "offline_access"

_issue = TokenView.as_view()
_revoke = RevokeView.as_view()


@csrf_exempt
@never_cache
@require_POST
@transaction.atomic
def token(request: HttpRequest) -> HttpResponse:
    """Issue tokens for a code, for a confirmed device, or for a refresh token."""
    grant = request.POST.get("grant_type")
    if grant == Client.GrantType.REFRESH_TOKEN:
        return _refresh(request)
    if grant == Client.GrantType.AUTHORIZATION_CODE:
        return _redeem(request)
    response: HttpResponse = _issue(request)
    if response.status_code == 200:
        _begin(response)
    return response


@csrf_exempt
@never_cache
@require_POST
@transaction.atomic
def revoke(request: HttpRequest) -> HttpResponse:
    """Revoke the whole sign-in that the token belongs to (RFC 7009, section 2.1)."""
    tokens = Token.objects.filter(client_id=_client_id(request)).select_related("user", "client")
    found = tokens.by_value(request.POST.get("token", "")).first()
    response: HttpResponse = _revoke(request)
    if response.status_code == 200 and found:
        token_families.end(found)
        applications.note_end(found, reason="signed out")
    return response


def _client_id(request: HttpRequest) -> str:
    """Return the client's id as allauth reads it. Clients with a secret may send it in basic authentication only."""
    by_header, _ = basic_auth(request)
    return by_header or request.POST.get("client_id", "")


def _redeem(request: HttpRequest) -> HttpResponse:
    """Issue tokens for the first use of a code, also among concurrent uses. A later use revokes them.

    Source: RFC 6749, section 4.1.2. A code that is sent twice has leaked.
    """
    use = f"oauth-code-{sha256(request.POST.get('code', '').encode()).hexdigest()}"
    if not cache.add(use, UNUSED_FAMILY, CODE_REMEMBERED_S):
        _end_all_of(cache.get(use))
        return JsonResponse({"error": "invalid_grant", "error_description": "The code was used before."}, status=400)
    response: HttpResponse = _issue(request)
    if response.status_code == 200:
        cache.set(use, _begin(response), CODE_REMEMBERED_S)
    return response


def _begin(response: HttpResponse) -> str:
    """Assign the tokens of the response to a new family, and return its name.

    Without the scope `offline_access` the refresh token is removed, so that the sign-in ends after an hour.
    """
    answer = json.loads(response.content)
    first = Token.objects.by_value(answer["access_token"]).first()
    if first and STAYS not in first.get_scopes() and "refresh_token" in answer:
        Token.objects.by_value(answer.pop("refresh_token")).delete()
        answer.pop("refresh_expires_in", None)
        response.content = json.dumps(answer)
    return token_families.begin(answer)


def _end_all_of(family: str | None) -> None:
    token = token_families.any_of(family) if family else None
    if token:
        token_families.end(token)
        applications.note_end(token, reason="its code was used twice")


def _refresh(request: HttpRequest) -> HttpResponse:
    secret, client_id = request.POST.get("refresh_token", ""), _client_id(request)
    unused = token_families.lock_family(secret, client_id)
    if unused is None:
        return _repeat(request, secret, client_id)
    response: HttpResponse = _issue(request)
    if response.status_code == 200:
        token_families.rotate(unused, secret, json.loads(response.content))
    return response


def _repeat(request: HttpRequest, secret: str, client_id: str) -> HttpResponse:
    """Return the stored response for a token used within the grace period. Revoke the family of one used earlier."""
    used = token_families.used(secret, client_id)
    answer = token_families.repeated(used, secret) if used else None
    if answer:
        return JsonResponse(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
    if used:
        token_families.end(used)
        applications.note_end(used, reason="a refresh token was used twice")
    refusal: HttpResponse = _issue(request)
    return refusal
