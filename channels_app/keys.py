"""API keys: `chub-`, 26 random letters and digits (155 bits), and a checksum of 6 by which scanners tell a real one.

conda cuts a key in a URL at the first character that is not a letter, a digit or a dash, mamba refuses it.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels_app import audit
from channels_app.access import SCOPES
from channels_app.models import ApiKey, Channel, KeyKind, User
from hub.errors import bad_request

PREFIX = "chub-"
RANDOM_CHARACTERS = 26
CHECKSUM_CHARACTERS = 6
HINT_CHARACTERS = len(PREFIX) + 6
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{RANDOM_CHARACTERS}}})([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})\Z")
LAST_USE_PRECISION = timedelta(minutes=1)


@transaction.atomic
def mint(
    *,
    owner: User,
    name: str,
    scopes: Iterable[str],
    channels: Iterable[Channel] | None,
    expires_at: datetime | None,
) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, kept nowhere. `channels` None: all of the owner's."""
    wanted = sorted(set(scopes))
    if not wanted or not set(wanted) <= set(SCOPES):
        raise bad_request("bad_scope", f"The scopes are {wanted}; expected some of: {', '.join(SCOPES)}.")
    secret = new_secret()
    key = ApiKey.objects.create(
        owner=owner,
        name=name,
        **stored(secret),
        scopes=wanted,
        all_channels=channels is None,
        expires_at=expires_at,
    )
    key.channels.set(channels or ())
    audit.record("key.create", actor=owner, target=f"{owner}: {name}", detail={"scopes": wanted})
    return key, secret


def mint_for_publishers(
    *, publishers: Iterable[Any], name: str, claims: dict[str, Any], expires_at: datetime
) -> tuple[ApiKey, str]:
    """Make a key that has the rights of trusted publishers, within the transaction of their exchange."""
    secret = new_secret()
    key = ApiKey.objects.create(
        kind=KeyKind.MINTED, name=name[:300], claims=claims, expires_at=expires_at, **stored(secret)
    )
    key.publishers.set(publishers)
    return key, secret


def look_up(secret: str) -> ApiKey | None:
    """The usable key with this secret. Costs one query at most."""
    if not has_shape(secret):
        return None
    return usable().filter(digest=_digest(secret)).select_related("owner").first()


def usable() -> QuerySet[ApiKey]:
    """The keys that are not expired, not revoked, and not of somebody who was shut out."""
    lives = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(lives, Q(owner=None) | Q(owner__is_active=True), revoked_at=None)


def note_use(key: ApiKey) -> None:
    """Remember that `key` was used, to the minute, so that reading does not write at every request."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > LAST_USE_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)


@transaction.atomic
def revoke(*, key: ApiKey, actor: User) -> None:
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
    audit.record("key.revoke", actor=actor, target=f"{key.owner}: {key.name}")


def has_shape(secret: str) -> bool:
    """Whether `secret` looks like a key of ours and its checksum is right."""
    match = SHAPE.match(secret)
    return match is not None and match[2] == _checksum(match[1])


def new_secret() -> str:
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return f"{PREFIX}{body}{_checksum(body)}"


def stored(secret: str) -> dict[str, str]:
    """What is kept of a secret: the columns of its row."""
    return {"digest": _digest(secret), "hint": secret[:HINT_CHARACTERS]}


def _checksum(body: str) -> str:
    number, characters = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        characters += ALPHABET[digit]
    return characters


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
