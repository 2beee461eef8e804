"""Who may do what in which channel, remembered by this process for seconds, and never beyond the end of the right.

A decision is kept with the access epoch that was read before it was made, and stands while that is the current one,
which each request asks together with what it looks up: a right that ends is gone with the very next request. Only what
was granted is kept, and nothing of sessions.
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

# Less than what keys' last use is noted by (keys.LAST_USE_PRECISION): it is noted whenever a decision is made.
REMEMBERED_S = 10
DECISIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    actor: Actor
    channel: Channel
    granted: frozenset[Permission]
    epoch: int | None  # from before it was made; None: it is not remembered
    until: float  # seconds since 1970


_decisions: dict[tuple[str, str], Decision] = {}


def cached(request: HttpRequest, name: str, permission: Permission) -> Decision | None:
    """What was decided of the channel `name` and whoever asks; to be believed while its epoch is the current one."""
    decision = _decisions.get((_credential(request), name))
    if decision is None or decision.until < time.time() or request.user.is_authenticated:
        return None
    if permission not in decision.granted:
        return None
    actors.log_actor(request, decision.actor)
    return decision


def channel_to_read(request: HttpRequest, name: str) -> Channel:
    """The channel `name`, if whoever asks may read it, else as channel_for refuses; remembered from here on."""
    return decide_and_cache(request, name, Permission.READ, actors.actor).channel


def upload_decision(request: HttpRequest, name: str) -> Decision:
    """Who uploads, by key alone, and into what, else as channel_for refuses; costs one query while it is remembered."""
    decision = cached(request, name, Permission.UPLOAD)
    if decision and revision.is_current(decision.epoch):
        return decision
    return decide_and_cache(request, name, Permission.UPLOAD, actors.key_actor)


def decide_and_cache(
    request: HttpRequest, name: str, permission: Permission, who: Callable[[HttpRequest], Actor]
) -> Decision:
    epoch = revision.current()
    actor = who(request)
    decision = Decision(actor, *decide(actor, name, permission), epoch, _end(actor))
    if epoch is not None and not request.user.is_authenticated:
        _remember((_credential(request), name), decision)
    return decision


def forget() -> None:
    """Forget every decision."""
    _decisions.clear()


def _credential(request: HttpRequest) -> str:
    """The digest of what was sent; empty where nothing was, which is not the same as an empty key."""
    secret = actors.credential(request)
    return "" if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def _end(actor: Actor) -> float:
    ends: list[datetime | None] = [each.expires_at for each in (actor.key, actor.token) if each]
    if minted := actor.minted_key:
        # What a key gave a publisher ends with that key.
        ends += minted.publishers.values_list("made_with__expires_at", flat=True)
    return min([time.time() + REMEMBERED_S, *(end.timestamp() for end in ends if end)])


def _remember(asked: tuple[str, str], decision: Decision) -> None:
    if len(_decisions) >= DECISIONS_MAX:
        forget()
    _decisions[asked] = decision
