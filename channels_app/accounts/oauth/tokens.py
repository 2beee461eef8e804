"""The endpoints by which clients get, refresh and revoke tokens: allauth's, with families of tokens."""

import json
from hashlib import sha256

from allauth.core.internal.httpkit import extract_basic_auth
from allauth.idp.oidc.models import Client, Token
from allauth.idp.oidc.views import RevokeView, TokenView
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from channels_app.accounts.oauth import applications, token_families

# An authorization code lives for a minute. Whoever sends it again within a day ends what came of it.
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
    """Tokens for a code, for a confirmed device, or for a refresh token."""
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
    """Ends the whole sign-in that the token belongs to, whichever of its tokens it is (RFC 7009, section 2.1)."""
    tokens = Token.objects.filter(client_id=_client_id(request)).select_related("user", "client")
    found = tokens.by_value(request.POST.get("token", "")).first()
    response: HttpResponse = _revoke(request)
    if response.status_code == 200 and found:
        token_families.end(found)
        applications.note_end(found, reason="signed out")
    return response


def _client_id(request: HttpRequest) -> str:
    """Which client asks, as allauth reads it: those with a secret may say so by basic authentication alone."""
    by_header, _ = extract_basic_auth(request.headers)
    return by_header or request.POST.get("client_id", "")


def _redeem(request: HttpRequest) -> HttpResponse:
    """Tokens for the first use of a code, were it the first of many at once; any later one ends them.

    Source: RFC 6749, section 4.1.2. A code that is sent twice was seen by somebody else.
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
    """Make the tokens of the answer a family, and return its name.

    Whoever let the application in without "Stay signed in" gets none to refresh them by: it ends after an hour.
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
    held = token_families.lock_family(secret, client_id)
    if held is None:
        return _repeat(request, secret, client_id)
    response: HttpResponse = _issue(request)
    if response.status_code == 200:
        token_families.rotate(held, secret, json.loads(response.content))
    return response


def _repeat(request: HttpRequest, secret: str, client_id: str) -> HttpResponse:
    """The answer of a token that was used just now; of one that was used before that, the end of its family."""
    used = token_families.used(secret, client_id)
    answer = token_families.repeated(used, secret) if used else None
    if answer:
        return JsonResponse(answer, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})
    if used:
        token_families.end(used)
        applications.note_end(used, reason="a refresh token was used twice")
    refusal: HttpResponse = _issue(request)
    return refusal
