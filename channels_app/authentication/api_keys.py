"""API keys: `chub-`, 26 random letters and digits (155 bits), and a checksum of 6 characters.

Scanners recognize a real key by the checksum. conda cuts a key in a URL at the first character that is not a letter, a
digit or a dash; mamba refuses such a key.
"""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels_app import identifiers
from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import SCOPES, Actor, Permission, lock_channel
from channels_app.audit import log
from channels_app.models import ApiKey, Channel, KeyKind, User
from channels_app.quotas import user_limits
from hub.errors import bad_request, forbidden
from hub.full_disk import is_disk_full

PREFIX = "chub-"
RANDOM_CHARACTERS = 26
CHECKSUM_CHARACTERS = 6
HINT_CHARACTERS = len(PREFIX) + 6
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SHAPE = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{RANDOM_CHARACTERS}}})([0-9A-Za-z]{{{CHECKSUM_CHARACTERS}}})\Z")
LAST_USE_PRECISION = timedelta(minutes=1)
GLOBS_MAX = 50


@transaction.atomic
def create_user_key(
    *,
    owner: User,
    name: str,
    scopes: Iterable[str],
    channels: Iterable[Channel] | None,
    expires_at: datetime | None,
    package_globs: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """Create a key; return its row and the key itself, which is not stored.

    If `channels` is None, the key is valid for all channels of the owner. Scopes beyond the owner's present roles are
    allowed: permissions are checked at each request.
    """
    limits = _limits(scopes, package_globs, expires_at)
    user_limits.lock_users(owner)
    user_limits.check(owner, "keys", usable().filter(owner=owner).count(), "API keys that work", "Revoke one")
    key, secret = _create(owner=owner, name=name, all_channels=channels is None, **limits)
    key.channels.set(channels or ())
    log.record(Action.KEY_CREATE, by=Actor(user=owner), target=name, detail=audit_detail(key))
    return key, secret


@transaction.atomic
def create_channel_key(
    *,
    actor: Actor,
    channel: Channel,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    package_globs: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """Create a channel key, which stays valid if its creator leaves the channel.

    Return the same as mint().
    """
    acts.check_credential_kind(Action.KEY_CREATE, actor)
    locked = lock_channel(actor, channel, Permission.OWN)
    limits = _limits(scopes, package_globs, expires_at)
    _check_room_for_robot(actor, locked)
    key, secret = _create(kind=KeyKind.ROBOT, robot_of=locked, name=name, **limits)
    log.record(Action.KEY_CREATE, by=actor, channel=locked, target=name, detail=audit_detail(key))
    return key, secret


def create_short_lived_token(
    *, publishers: Iterable[Any], name: str, claims: dict[str, Any], expires_at: datetime
) -> tuple[ApiKey, str]:
    """Create a short-lived token with the rights of trusted publishers.

    Call it in the transaction of the token exchange.
    """
    key, secret = _create(kind=KeyKind.SHORT_LIVED, name=name[:300], claims=claims, expires_at=expires_at)
    key.publishers.set(publishers)
    return key, secret


def look_up(secret: str) -> ApiKey | None:
    """Return the usable key with this secret; at most one query."""
    return _find(usable(), secret)


def look_up_any(secret: str) -> ApiKey | None:
    """Return the key with this secret, even if it is expired or revoked, to tell its holder why it fails."""
    return _find(ApiKey.objects.all(), secret)


def usable() -> QuerySet[ApiKey]:
    """Select the keys that are neither expired nor revoked, and that don't belong to an inactive user."""
    lives = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    return ApiKey.objects.filter(lives, Q(owner=None) | Q(owner__is_active=True), revoked_at=None)


def note_use(key: ApiKey) -> None:
    """Store the time of use, to the minute. A full disk loses the time, not the request: reads go on.

    The precision keeps read requests from writing to the database each time.
    """
    now = timezone.now()
    if key.last_used_at is not None and now - key.last_used_at <= LAST_USE_PRECISION:
        return
    try:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    except OperationalError as error:
        if not is_disk_full(error):
            raise


@transaction.atomic
def revoke(*, key: ApiKey, actor: Actor) -> None:
    """Revoke a key at once: one's own, a channel key of a channel that one owns, or the key of the request.

    Administrators may revoke any key. A key that is already revoked is left as it is.
    """
    if key != actor.key:
        _check_may_revoke(actor, key)
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        log.record(Action.KEY_REVOKE, by=actor, channel=key.robot_of, target=key.name, detail=audit_detail(key))


def audit_detail(key: ApiKey) -> dict[str, Any]:
    """Return the details of a key for audit events: enough to identify it after its row is deleted."""
    return {
        "key": key.pk,
        "hint": key.hint,
        "scopes": key.scopes,
        "channels": None if key.all_channels else [channel.name for channel in key.channels.all()],
        "package_globs": key.package_globs,
        "expires_at": key.expires_at and key.expires_at.isoformat(timespec="seconds"),
    }


def has_shape(secret: str) -> bool:
    """Tell whether `secret` has the form of a hub key and a valid checksum."""
    match = SHAPE.match(secret)
    return match is not None and match[2] == _checksum(match[1])


def clean_globs(globs: Iterable[str], holder: str) -> list[str]:
    """Validate and normalize the package names to which a key or a trusted publisher is limited.

    `holder` is the subject of the error message.
    """
    cleaned = sorted({glob.strip().lower() for glob in globs if glob.strip()})
    if len(cleaned) > GLOBS_MAX or any(len(glob) > identifiers.NAME_MAX_CHARACTERS for glob in cleaned):
        raise bad_request(
            "bad_globs",
            f"{holder} takes at most {GLOBS_MAX} package names "
            f"of at most {identifiers.NAME_MAX_CHARACTERS} characters.",
        )
    return cleaned


def _create(**columns: Any) -> tuple[ApiKey, str]:
    secret = new_secret()
    return ApiKey.objects.create(**columns, **secret_columns(secret)), secret


def new_secret() -> str:
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return f"{PREFIX}{body}{_checksum(body)}"


def _find(among: QuerySet[ApiKey], secret: str) -> ApiKey | None:
    if not has_shape(secret):
        return None
    return among.filter(digest=_digest(secret)).select_related("owner").first()


def secret_columns(secret: str) -> dict[str, str]:
    """Return the columns that are stored for a secret."""
    return {"digest": _digest(secret), "hint": secret[:HINT_CHARACTERS]}


def _limits(scopes: Iterable[str], globs: Iterable[str], expires_at: datetime | None) -> dict[str, Any]:
    """Validate the columns that restrict a key, and return them."""
    requested = sorted(set(scopes))
    if not requested or not set(requested) <= set(SCOPES):
        raise bad_request("bad_scope", f"The scopes are {requested}; expected some of: {', '.join(SCOPES)}.")
    cleaned = clean_globs(globs, "A key")
    if expires_at and expires_at <= timezone.now():
        raise bad_request(
            "bad_expiry", f"The key would expire on {expires_at:%Y-%m-%d}; expected a time in the future."
        )
    return {
        "scopes": [scope for scope in SCOPES if scope in requested],
        "package_globs": cleaned,
        "expires_at": expires_at,
    }


def _check_room_for_robot(actor: Actor, channel: Channel) -> None:
    """Raise 403 if the channel has as many keys as a user may have.

    The limit belongs to the channel, because its owners change.
    """
    have, most = usable().filter(robot_of=channel).count(), settings.HUB_USER_KEYS
    if most and have >= most and not (actor.user and actor.user.is_superuser):
        raise forbidden("keys_limit", f"'{channel}' has {have:,} API keys that work; it may have {most:,}. Revoke one.")


def _check_may_revoke(actor: Actor, key: ApiKey) -> None:
    person = None if actor.key or actor.token else actor.user
    if key.robot_of:
        lock_channel(actor, key.robot_of, Permission.OWN)
    elif person is None or not (person == key.owner or person.is_superuser):
        raise forbidden("not_your_key", "Only the key's owner (signed in) or the key itself can revoke it.")


def _checksum(body: str) -> str:
    number, characters = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        characters += ALPHABET[digit]
    return characters


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
