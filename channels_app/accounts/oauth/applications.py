"""Applications that a user has authorized: list, audit events, revocation."""

from dataclasses import dataclass
from datetime import datetime

from allauth.idp.oidc.models import Client, Token
from django.db import transaction
from django.db.models import QuerySet

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.accounts.oauth import scopes
from channels_app.audit import log
from channels_app.models import User


@dataclass(frozen=True, slots=True)
class Application:
    """An application with all of its sign-ins of one user. `used_at` is the time of its newest token.

    An application that is in use gets new tokens hourly.
    """

    client: Client
    rights: list[str]
    sign_ins: int
    since: datetime
    used_at: datetime


def authorised(user: User) -> list[Application]:
    """Return the applications that hold tokens of `user`, by name."""
    by_client: dict[Client, list[Token]] = {}
    for token in _valid_tokens(user).select_related("client").order_by("client__name", "created_at"):
        by_client.setdefault(token.client, []).append(token)
    return [_application(client, tokens) for client, tokens in by_client.items()]


def note_grant(*, user: User, client: Client, scopes: list[str]) -> None:
    """Record that `user` authorized `client`. Call it in the transaction of that."""
    is_first = not _valid_tokens(user).filter(client=client).exists()
    detail = {"scopes": sorted(scopes), "is_first": is_first}
    log.record(Action.OAUTH_GRANT, target=client.name, by=Actor(user=user), detail=detail)


def note_end(token: Token, *, reason: str) -> None:
    """Record that the sign-in of `token` ended. Call it in the transaction of that."""
    if token.user and token.client:
        log.record(Action.OAUTH_REVOKE, target=token.client.name, by=Actor(user=token.user), detail={"reason": reason})


@transaction.atomic
def revoke(*, user: User, client: Client) -> None:
    """Delete every token that `client` holds of `user`."""
    deleted, _ = Token.objects.filter(user=user, client=client).delete()
    if deleted:
        log.record(Action.OAUTH_REVOKE, target=client.name, by=Actor(user=user), detail={"reason": "by the user"})


def _valid_tokens(user: User) -> QuerySet[Token]:
    tokens: QuerySet[Token] = Token.objects.valid().filter(
        user=user, type__in=[Token.Type.ACCESS_TOKEN, Token.Type.REFRESH_TOKEN]
    )
    return tokens


def _application(client: Client, tokens: list[Token]) -> Application:
    """Return the application. `tokens` are in the order of their creation."""
    data = [token.data or {} for token in tokens]
    return Application(
        client=client,
        rights=scopes.in_words(sorted({scope for token in tokens for scope in token.get_scopes()})),
        sign_ins=len({each.get("family") for each in data}),
        since=min(
            datetime.fromisoformat(each["since"]) if "since" in each else token.created_at
            for each, token in zip(data, tokens, strict=True)
        ),
        used_at=tokens[-1].created_at,
    )
