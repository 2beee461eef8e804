"""Access decisions, cached per process for 10 seconds at most.

A decision is stored with the access revision that was read before it was made. It is valid while that revision is
current. Each request checks this in the same query that selects its rows, so a revoked right ends with the next
request. Only granted permissions are cached, and never those of sessions.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from channels_app.access import revision
from channels_app.access.permissions import Actor, Permission, decide
from channels_app.authentication import actors
from channels_app.models import Channel

# Less than api_keys.LAST_USE_PRECISION: the last use of a key is stored whenever a decision is made.
CACHED_S = 10
DECISIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    actor: Actor
    channel: Channel
    granted: frozenset[Permission]
    access_revision: int | None  # the access revision before the decision was made; None: not cached
    expires_at: float  # seconds since 1970


_decisions: dict[tuple[str, str], Decision] = {}


def cached(request: HttpRequest, name: str, permission: Permission) -> Decision | None:
    """Return the cached decision for the request's credential and the channel `name`.

    The caller has to check that its revision is still current.
    """
    decision = _decisions.get((_credential(request), name))
    if decision is None or decision.expires_at < time.time() or request.user.is_authenticated:
        return None
    if permission not in decision.granted:
        return None
    actors.log_actor(request, decision.actor)
    return decision


def channel_to_read(request: HttpRequest, name: str) -> Channel:
    """Return the channel `name` if the actor may read it, and cache the decision.

    Raise the errors of channel_for() otherwise.
    """
    return decide_and_cache(request, name, Permission.READ, actors.actor).channel


def upload_decision(request: HttpRequest, name: str) -> Decision:
    """Return the decision on an upload by key or token to the channel `name`.

    Raise the errors of channel_for() if it is not allowed. A cached decision costs one query.
    """
    decision = cached(request, name, Permission.UPLOAD)
    if decision and revision.is_current(decision.access_revision):
        return decision
    return decide_and_cache(request, name, Permission.UPLOAD, actors.key_actor)


def decide_and_cache(
    request: HttpRequest, name: str, permission: Permission, authenticate: Callable[[HttpRequest], Actor]
) -> Decision:
    access_revision = revision.current()
    actor = authenticate(request)
    decision = Decision(actor, *decide(actor, name, permission), access_revision, _expires_at(actor))
    if access_revision is not None and not request.user.is_authenticated:
        _store((_credential(request), name), decision)
    return decision


def clear() -> None:
    """Clear the cache."""
    _decisions.clear()


def _credential(request: HttpRequest) -> str:
    """Return the digest of the credential; empty if none was sent, which is not the same as an empty key."""
    secret = actors.credential(request)
    return "" if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def _expires_at(actor: Actor) -> float:
    ends: list[datetime | None] = [each.expires_at for each in (actor.key, actor.token) if each]
    if short_lived := actor.short_lived_token:
        # The rights of a publisher that a key created end with that key.
        ends += short_lived.publishers.values_list("made_with__expires_at", flat=True)
    return min([time.time() + CACHED_S, *(end.timestamp() for end in ends if end)])


def _store(cache_key: tuple[str, str], decision: Decision) -> None:
    if len(_decisions) >= DECISIONS_MAX:
        clear()
    _decisions[cache_key] = decision
