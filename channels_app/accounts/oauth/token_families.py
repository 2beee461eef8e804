"""Token families: all tokens of one sign-in. A refresh token is used once, and may be repeated for 10 minutes.

Clients refresh in several processes at once, each with the token that all of them read from one file. So a used token
stays as a row of allauth's table, with a type of the hub. Its response is encrypted with the token itself. If it is
reused after the grace period, revoke all tokens of the sign-in (RFC 9700, section 4.14.2).
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

Answer = dict[str, Any]  # the token endpoint's response (RFC 6749, section 5.1)


def begin(answer: Answer) -> str:
    """Assign the first tokens of a sign-in to a new family, and return its name."""
    family = secrets.token_hex(16)
    _assign(answer, {"family": family, "since": timezone.now().isoformat()})
    return family


def lock_family(refresh_token: str, client_id: str) -> Token | None:
    """Return the unused token, with its row locked until the transaction ends. Concurrent uses wait here."""
    locked: Token | None = (
        Token.objects.select_for_update().filter(client_id=client_id).lookup(Token.Type.REFRESH_TOKEN, refresh_token)
    )
    return locked


def rotate(used: Token, refresh_token: str, answer: Answer) -> None:
    """Store the response to the used refresh token, and assign the new tokens to its family."""
    family = {name: (used.data or {}).get(name) for name in ("family", "since")}
    _assign(answer, family)
    Token.objects.create(
        type=USED,
        hash=used.hash,
        client_id=used.client_id,
        user_id=used.user_id,
        data={**family, "answer": _cipher(refresh_token).encrypt(json.dumps(answer).encode()).decode()},
        expires_at=timezone.now() + REMEMBERED,
    )


def used(refresh_token: str, client_id: str) -> Token | None:
    """Return the row of a used token. Only for active users and for public clients, which have no secret."""
    tokens = Token.objects.filter(client_id=client_id, client__type=Client.Type.PUBLIC, user__is_active=True)
    return tokens.select_related("user", "client").lookup(USED, refresh_token)


def repeated(token: Token, refresh_token: str) -> Answer | None:
    """Return the stored response to the used token; None after the grace period."""
    age = timezone.now() - token.created_at
    if age > GRACE or "answer" not in token.data:
        return None
    answer: Answer = json.loads(_cipher(refresh_token).decrypt(token.data["answer"].encode()))
    return answer | {"expires_in": answer["expires_in"] - int(age.total_seconds())}


def any_of(family: str) -> Token | None:
    """Return one of the family's tokens, used or not; None if all have ended."""
    found: Token | None = Token.objects.filter(data__family=family).select_related("user", "client").first()
    return found


def end(token: Token) -> None:
    """Delete every token of the family, used ones included."""
    family = (token.data or {}).get("family")
    if family:
        Token.objects.filter(user_id=token.user_id, client_id=token.client_id, data__family=family).delete()


def delete_old() -> None:
    """Delete expired tokens, and stored responses older than the grace period."""
    Token.objects.expired().delete()
    over = Token.objects.filter(type=USED, created_at__lt=timezone.now() - GRACE, data__has_key="answer")
    for token in over.iterator():
        del token.data["answer"]
        token.save(update_fields=["data"])


def _assign(answer: Answer, family: dict[str, Any]) -> None:
    for value in (answer["access_token"], answer.get("refresh_token")):
        for token in Token.objects.by_value(value) if value else ():
            token.data = {**(token.data or {}), **family}
            token.save(update_fields=["data"])


def _cipher(refresh_token: str) -> Fernet:
    # The key differs from the hash for looking up the token, which is in the same row.
    key = sha256(f"answer to {refresh_token}".encode()).digest()
    return Fernet(base64.urlsafe_b64encode(key))
