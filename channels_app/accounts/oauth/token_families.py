"""The tokens of one sign-in, a family: a refresh token is used once, and for some minutes answered alike once more.

Clients refresh in several processes at once, each with the token that all of them read from one file. So a used token
stays as a row of allauth's table, of a type of ours, with its answer, which nobody can read without the token itself.
Used later than that, it was stolen, or kept by a thief: the whole family ends (RFC 9700, section 4.14.2).
"""

import base64
import json
import secrets
from datetime import timedelta
from hashlib import sha256
from typing import Any

from allauth.idp.oidc.models import Client, Token
from cryptography.fernet import Fernet
from django.utils import timezone

USED = "ur"
GRACE = timedelta(seconds=600)
REMEMBERED = timedelta(days=30)

Answer = dict[str, Any]  # of the token endpoint, by RFC 6749, section 5.1


def begin(answer: Answer) -> str:
    """The first tokens of a sign-in are a family of their own, whose name is returned."""
    family = secrets.token_hex(16)
    _enrol(answer, {"family": family, "since": timezone.now().isoformat()})
    return family


def lock_family(refresh_token: str, client_id: str) -> Token | None:
    """The unused token, its row locked until the transaction ends: of several uses at once, the others wait here."""
    held: Token | None = (
        Token.objects.select_for_update().filter(client_id=client_id).lookup(Token.Type.REFRESH_TOKEN, refresh_token)
    )
    return held


def rotate(used: Token, refresh_token: str, answer: Answer) -> None:
    """Remember what the refresh token `used` was answered; its new tokens belong to its family."""
    family = {name: (used.data or {}).get(name) for name in ("family", "since")}
    _enrol(answer, family)
    Token.objects.create(
        type=USED,
        hash=used.hash,
        client_id=used.client_id,
        user_id=used.user_id,
        data={**family, "answer": _cipher(refresh_token).encrypt(json.dumps(answer).encode()).decode()},
        expires_at=timezone.now() + REMEMBERED,
    )


def used(refresh_token: str, client_id: str) -> Token | None:
    """The row of a used token, of a user who may still sign in. Only of clients that have no secret to show."""
    tokens = Token.objects.filter(client_id=client_id, client__type=Client.Type.PUBLIC, user__is_active=True)
    return tokens.select_related("user", "client").lookup(USED, refresh_token)


def repeated(token: Token, refresh_token: str) -> Answer | None:
    """What the used `token` was answered; None once that is too long ago."""
    age = timezone.now() - token.created_at
    if age > GRACE or "answer" not in token.data:
        return None
    answer: Answer = json.loads(_cipher(refresh_token).decrypt(token.data["answer"].encode()))
    return answer | {"expires_in": answer["expires_in"] - int(age.total_seconds())}


def any_of(family: str) -> Token | None:
    """One of the tokens of that name, used or not; None once all have ended."""
    found: Token | None = Token.objects.filter(data__family=family).select_related("user", "client").first()
    return found


def end(token: Token) -> None:
    """Every token of the family, used ones included, is worth nothing from now on."""
    family = (token.data or {}).get("family")
    if family:
        Token.objects.filter(user_id=token.user_id, client_id=token.client_id, data__family=family).delete()


def forget_old() -> None:
    """Remove expired tokens, and answers that are not repeated any more."""
    Token.objects.expired().delete()
    over = Token.objects.filter(type=USED, created_at__lt=timezone.now() - GRACE, data__has_key="answer")
    for token in over.iterator():
        del token.data["answer"]
        token.save(update_fields=["data"])


def _enrol(answer: Answer, family: dict[str, Any]) -> None:
    for value in (answer["access_token"], answer.get("refresh_token")):
        for token in Token.objects.by_value(value) if value else ():
            token.data = {**(token.data or {}), **family}
            token.save(update_fields=["data"])


def _cipher(refresh_token: str) -> Fernet:
    # Not the hash by which the token is looked up, which is in the same row.
    key = sha256(f"answer to {refresh_token}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
