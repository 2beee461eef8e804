"""Channels: create, update, transfer, delete, restore."""

import re
import unicodedata
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from channels_app import identifiers
from channels_app.access import acts, users
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, lock_channel
from channels_app.audit import log
from channels_app.channels import pending_names, reserved_names
from channels_app.models import Channel, ChannelKind, Member, Role, User
from channels_app.people import members
from channels_app.quotas import quotas, user_limits
from hub import protocols
from hub.celery import wake
from hub.errors import bad_request, conflict
from hub.sizes import human_size

# First path segments of the hub's pages, of planned protocols, and `new`: a channel's page is at /channels/<name>.
ROUTED = {
    *("account", "accounts", "admin", "anaconda", "api", "channels", "connect", "docs", "doctor", "favicon.ico", "get"),
    *("healthz", "identity", "invitations", "media", "metrics", "new", "o", "readyz", "robots.txt", "search", "static"),
    *("status", "styleguide", "t", "teams", "well-known", ".well-known"),
}
# Characters of other names, which corrected_name() replaces.
NO_NAME = re.compile(r"[^a-z0-9_.]+")


@cache
def routed_words() -> set[str]:
    """Return the first path segments that the hub itself uses, with those of client protocols."""
    return protocols.first_words() | ROUTED


@transaction.atomic
def create(
    *,
    name: str,
    owner: User,
    is_private: bool,
    kind: str = ChannelKind.PACKAGES,
    description: str = "",
    logo: bytes | None = None,
    is_by_operator: bool = False,
) -> Channel:
    """Create a channel with its first owner. A job builds its empty index files; the hub serves them at once.

    The owner's pending trusted publishers of the name move to the channel. Those of another user end if an operator
    creates it. An operator is not bound by limits.
    """
    check_name(name)
    if is_by_operator:
        pending_names.end_others(name, owner)
    pending_names.reserve(name=name, user=owner)
    if not is_by_operator:
        user_limits.check_channels(owner, name=name)
    channel = Channel.objects.create(name=name, kind=kind, is_private=is_private, description=description, logo=logo)
    Member.objects.create(channel=channel, user=owner, role=Role.OWNER)
    pending_names.move_to_channel(channel, owner)
    reserved_names.end_reservation(name)
    log.record(
        Action.CHANNEL_CREATE, by=Actor(user=owner), channel=channel, target=name, detail={"private": is_private}
    )
    transaction.on_commit(partial(wake, "publishing.tasks.build_stale_indexes"))
    return channel


@transaction.atomic
def update(*, actor: Actor, channel: Channel, **values: Any) -> Channel:
    """Set some of `description`, `is_private` and `logo` (a PNG of logos.encode(), or None)."""
    locked = lock_channel(actor, channel, Permission.MANAGE)
    detail = _set(locked, values)
    if "is_private" in detail:
        acts.check_credential_kind(Action.CHANNEL_UPDATE, actor)
    if "logo" in detail:
        detail["logo"] = {"to": "another" if locked.logo else "none"}
    _record(Action.CHANNEL_UPDATE, actor, locked, detail)
    return locked


@transaction.atomic
def change_policies(*, actor: Actor, channel: Channel, **values: Any) -> Channel:
    """Set some of the upload policies. `max_upload_bytes` None means the hub's own limit."""
    locked = acts.lock_channel(Action.POLICY_CHANGE, actor, channel)
    limit: int = values.get("max_upload_bytes") or 0
    is_too_high = limit > settings.HUB_MAX_UPLOAD_BYTES and limit != locked.max_upload_bytes
    if is_too_high and not (actor.user and actor.user.is_superuser):
        raise bad_request(
            "limit_too_high",
            f"The limit is {human_size(limit)}; expected at most the hub's own, "
            f"{human_size(settings.HUB_MAX_UPLOAD_BYTES)}. Only an administrator can set more.",
        )
    _record(Action.POLICY_CHANGE, actor, locked, _set(locked, values))
    return locked


@transaction.atomic
def transfer(*, actor: Actor, channel: Channel, username: str) -> Member:
    """Make the actor a maintainer, and leave the channel to another owner. An administrator may name any user."""
    locked = acts.lock_channel(Action.CHANNEL_TRANSFER, actor, channel)
    if actor.user and username == actor.user.username:
        raise bad_request("transfer_to_self", "You can't transfer the channel to yourself. Enter another user name.")
    named = members.named(locked, username)
    if not members.may_add(actor) and (named is None or named.role != Role.OWNER):
        raise conflict(
            "no_owner_yet",
            f"'{username[:150]}' is not an owner of '{locked}'. Invite them as an owner first, and transfer the "
            "channel after they have accepted.",
        )
    user = users.user_named(username)
    owner = named or Member(channel=locked, user=user)
    if owner.role != Role.OWNER:
        members.make_owner(owner)
    former = Member.objects.filter(channel=locked, user=actor.user)
    for member in former.exclude(user__is_superuser=True):
        quotas.check_next_owner(member)
    former.update(role=Role.MAINTAINER)
    quotas.mark_outdated(locked, actor.user)
    detail = {"before": actor.user.username} if actor.user else {}
    log.record(Action.CHANNEL_TRANSFER, by=actor, channel=locked, target=username, detail=detail)
    return owner


@transaction.atomic
def delete(*, actor: Actor, channel: Channel) -> Channel:
    """Mark the channel as deleted. It can be restored within the grace period.

    After that its rows, files and name are removed.
    """
    locked = acts.lock_channel(Action.CHANNEL_DELETE, actor, channel)
    locked.deleted_at = timezone.now()
    locked.save(update_fields=["deleted_at"])
    detail = {"deleted_at": {"from": None, "to": _second(locked.deleted_at)}}
    log.record(Action.CHANNEL_DELETE, by=actor, channel=locked, target=locked.name, detail=detail)
    return locked


@transaction.atomic
def restore(*, actor: Actor, channel: Channel) -> Channel:
    """Restore a deleted channel. Raise HubError 409 if its grace period is over."""
    locked = Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk, deleted_at__gt=purge_before()).first()
    if locked is None:
        raise conflict(
            "grace_over", f"'{channel}' can't be restored: the time for that is over, or it was restored already."
        )
    detail = {"deleted_at": {"from": _second(locked.deleted_at), "to": None}}
    locked.deleted_at = None
    locked.save(update_fields=["deleted_at"])
    acts.lock_channel(Action.CHANNEL_RESTORE, actor, locked)
    log.record(Action.CHANNEL_RESTORE, by=actor, channel=locked, target=locked.name, detail=detail)
    return locked


def grace() -> timedelta:
    """Return the time in which deleted channels and files can be restored."""
    return timedelta(hours=settings.HUB_GRACE_HOURS)


def purge_before() -> datetime:
    """Return the moment before which deletions are final."""
    return timezone.now() - grace()


def check_name(name: str) -> None:
    """Raise HubError 400 if no channel can have this name (CEP 26, and the hub's own paths)."""
    if len(name) > identifiers.CHANNEL_MAX_CHARACTERS or not identifiers.CHANNEL.match(name):
        valid = corrected_name(name)
        raise bad_request(
            "bad_channel_name",
            f"'{name[:60]}' can't name a channel; expected up to {identifiers.CHANNEL_MAX_CHARACTERS} lower-case "
            "letters, digits, '_', '.' and '-', the first a letter, a digit or '_'."
            + (f" For example: '{valid}'." if valid else ""),
        )
    if name in identifiers.KNOWN_SUBDIRS:
        raise bad_request("bad_channel_name", f"'{name}' is the name of a subdir; clients would mistake it for one.")
    if name in routed_words():
        raise bad_request("bad_channel_name", f"'{name}' is a path of the hub itself; choose another name.")


def corrected_name(name: str) -> str:
    """Return the valid name that is the most like `name`, such as `geo-tools` for `Geo Tools`; "" if there is none."""
    letters = unicodedata.normalize("NFKD", name.rstrip("/").rpartition("/")[2]).encode("ascii", "ignore").decode()
    found = NO_NAME.sub("-", letters.lower()).strip("-.")[: identifiers.CHANNEL_MAX_CHARACTERS]
    return "" if found in identifiers.KNOWN_SUBDIRS or found in routed_words() else found


def _second(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _set(channel: Channel, values: dict[str, Any]) -> dict[str, Any]:
    """Save the values that differ. Return field → old and new value."""
    before = {name: getattr(channel, name) for name in values}
    changed = {name: {"from": before[name], "to": value} for name, value in values.items() if before[name] != value}
    for name in changed:
        setattr(channel, name, values[name])
    channel.save(update_fields=list(changed))
    return changed


def _record(action: Action, actor: Actor, channel: Channel, changed: dict[str, Any]) -> None:
    if changed:
        log.record(action, by=actor, channel=channel, target=channel.name, detail=changed)
