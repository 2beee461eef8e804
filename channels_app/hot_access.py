"""Who may read which channel, remembered by this process for seconds, and never beyond the end of the right.

A decision is kept with the access epoch that was read before it was made, and stands while that is the current one,
which each request asks together with what it looks up: a right that ends is gone with the very next request. Only what
was granted is kept, and nothing of sessions.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from channels_app import access_epoch, authentication
from channels_app.access import Actor, Permission, channel_for
from channels_app.models import Channel

# Less than what keys' last use is noted by (keys.LAST_USE_PRECISION): it is noted whenever a decision is made.
REMEMBERED_S = 10
DECISIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Decision:
    actor: Actor
    channel: Channel
    epoch: int
    until: float  # seconds since 1970


_decisions: dict[tuple[str, str], Decision] = {}


def remembered(request: HttpRequest, name: str) -> Decision | None:
    """What was decided of the channel `name` and whoever asks; to be believed while its epoch is the current one."""
    decision = _decisions.get((_credential(request), name))
    if decision is None or decision.until < time.time() or request.user.is_authenticated:
        return None
    authentication.noted(request, decision.actor)
    return decision


def channel_to_read(request: HttpRequest, name: str) -> Channel:
    """The channel `name`, if whoever asks may read it, else as channel_for refuses; remembered from here on."""
    epoch = access_epoch.current()
    actor = authentication.actor(request)
    channel = channel_for(actor, name, Permission.READ)
    if epoch is not None and not request.user.is_authenticated:
        _remember((_credential(request), name), Decision(actor, channel, epoch, _end(actor)))
    return channel


def forget() -> None:
    """Forget every decision."""
    _decisions.clear()


def _credential(request: HttpRequest) -> str:
    """The digest of what was sent; empty where nothing was, which is not the same as an empty key."""
    secret = authentication.credential(request)
    return "" if secret is None else hashlib.sha256(secret.encode()).hexdigest()


def _end(actor: Actor) -> float:
    ends: list[datetime | None] = [each.expires_at for each in (actor.key, actor.token) if each]
    return min([time.time() + REMEMBERED_S, *(end.timestamp() for end in ends if end)])


def _remember(asked: tuple[str, str], decision: Decision) -> None:
    if len(_decisions) >= DECISIONS_MAX:
        forget()
    _decisions[asked] = decision
