"""Trusted publishers: adding, pinning and removing them, and finding those that match a token.

Any user may add any repository for their own channels. So a user's publishers never change the exchanges of another
user's CI: a pending name belongs to one user, and each publisher is settled separately.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, publisher_permissions
from channels_app.authentication import api_keys, delegation
from channels_app.channels import channels, pending_names
from channels_app.models import Channel, Member, Package, Role, User
from channels_app.quotas import user_limits
from channels_app.rate_limits import counters
from hub import fetching
from hub.errors import HubError, bad_request, conflict, forbidden
from hub.fetching import FetchError
from publishing.id_tokens.claims import BadToken, Claims, Code
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import candidates
from publishing.trusted.events import record, rights

PENDING = timedelta(days=30)

logger = logging.getLogger(__name__)


def add(
    *,
    actor: Actor,
    channel: Channel,
    issuer: Issuer,
    fields: Mapping[str, str],
    may_upload: bool = True,
    may_read: bool = False,
    package_globs: Iterable[str] = (),
    pins: Mapping[str, str] | None = None,
) -> TrustedPublisher:
    """Add a CI as publisher of `channel`. `fields` are the result of Provider.clean(), `pins` known stable ids.

    The provider is asked for its stable ids, which pin the publisher. Without them, the first exchange pins it.
    """
    _count(actor, channel)
    pins = checked_pins(issuer, fields, pins or {})
    with transaction.atomic():
        locked = acts.lock_channel(Action.PUBLISHER_ADD, actor, channel)
        values = _values(issuer, fields, pins, may_upload, may_read, package_globs)
        _check_passed_on(actor, locked, values)
        _remove_ended(TrustedPublisher.objects.filter(channel=locked))
        _check_room(actor, locked)
        _check_share(actor.user, issuer, values["subject"])
        values["expires_at"] = _pending_until() if _is_for_a_new_package(locked, values["package_globs"]) else None
        publisher = _create(channel=locked, created_by=actor.user, made_with=actor.key, **values)
        record(Action.PUBLISHER_ADD, actor, publisher, may=rights(publisher))
    return publisher


def add_pending(
    *,
    user: User,
    channel_name: str,
    issuer: Issuer,
    fields: Mapping[str, str],
    package_globs: Iterable[str] = (),
    pins: Mapping[str, str] | None = None,
) -> TrustedPublisher:
    """Add a publisher for a channel that its first exchange, within 30 days, creates for the user.

    Until then the name of the channel is reserved for the user.
    """
    channels.check_name(channel_name)
    _count(Actor(user=user))
    pins = checked_pins(issuer, fields, pins or {})
    values = _values(issuer, fields, pins, may_upload=True, may_read=False, globs=package_globs)
    values |= {"channel_name": channel_name, "created_by": user, "expires_at": _pending_until()}
    with transaction.atomic():
        pending_names.reserve(name=channel_name, user=user, expires_at=values["expires_at"])
        user_limits.check_channels(user, name=channel_name)
        waiting = _waiting(user)
        user_limits.check(
            user, "pending_publishers", waiting, "trusted publishers that wait for their channel", "Remove one"
        )
        _check_share(user, issuer, values["subject"])
        publisher = _create(**values)
        record(Action.PUBLISHER_ADD, Actor(user=user), publisher, may=rights(publisher))
    return publisher


@transaction.atomic
def remove(*, actor: Actor, publisher: TrustedPublisher) -> None:
    """Remove the publisher. Short-lived tokens that it already has stop working at the next request."""
    if publisher.channel:
        acts.lock_channel(Action.PUBLISHER_REMOVE, actor, publisher.channel)
    pending_names.lock(publisher.channel_name)
    record(Action.PUBLISHER_REMOVE, actor, publisher, may=rights(publisher))
    publisher.delete()
    if publisher.created_by:
        pending_names.release(publisher.channel_name, publisher.created_by)


def checked_pins(issuer: Issuer, fields: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """Return the provider's stable ids and the typed ones. Raise HubError 400 if they differ."""
    known, typed = stable_ids(issuer, fields), {name: value for name, value in typed.items() if value}
    for name, value in typed.items():
        if known.get(name, value) != value:
            raise bad_request(
                "pins_differ", f"{name} is '{value}', but the provider states '{known[name]}'; leave it empty."
            )
    return known | typed


def stable_ids(issuer: Issuer, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the stable ids from the provider's API; empty if it has none or doesn't respond."""
    provider = PROVIDERS[issuer.provider]
    url = provider.lookup_url(fields, issuer.url)
    try:
        return provider.pins_from(orjson.loads(fetching.get(url))) if url else {}
    except (FetchError, ValueError, KeyError, TypeError) as error:
        logger.info("no stable ids for %s of %s: %s", provider.subject(fields), issuer, error)
        return {}


def matching(issuer: Issuer, signed_claims: Claims) -> list[TrustedPublisher]:
    """Return the publishers that match a token: the most specific one of each channel, limited per user by `bounded`.

    A publisher without rights, because its key has none, displaces no other. Raise BadToken if none matches.
    """
    provider = PROVIDERS[issuer.provider]
    found = candidates.find(issuer, signed_claims)
    differences = {each: provider.difference(each.fields, each.pins, signed_claims) for each in found}
    candidates.record_resurrected(differences)
    matched = [each for each, found in differences.items() if found is None and publisher_permissions(each)]
    if not matched:
        raise candidates.refusal(issuer, signed_claims, differences)
    matched.sort(key=lambda each: (provider.specificity(each.fields), each.last_used_at is not None, -each.pk))
    return candidates.limited_per_user({candidates.place(each): each for each in matched}.values())


def settle(publisher: TrustedPublisher, signed_claims: Claims) -> None:
    """Settle an exchange within the caller's transaction: pin the stable ids, and create a pending channel.

    Raise BadToken if the channel can't be created.
    """
    pins = PROVIDERS[publisher.issuer.provider].pins_in(signed_claims)
    is_first = publisher.last_used_at is None
    publisher.pins = pins | publisher.pins
    publisher.last_used_at = timezone.now()
    publisher.expires_at = None
    if publisher.channel is None:
        publisher.channel = _make_channel(publisher)
        publisher.channel_name = ""
    publisher.save()
    if is_first:
        record(Action.PUBLISHER_FIRST_USE, Actor(), publisher, pins=publisher.pins)


def delete_expired() -> None:
    """Remove pending publishers that were not used in time, and publishers of expired or revoked keys."""
    TrustedPublisher.objects.filter(expires_at__lt=timezone.now()).delete()
    pending_names.delete_expired()
    _remove_ended(TrustedPublisher.objects.all())


def _count(actor: Actor, channel: Channel | None = None) -> None:
    """429 where somebody adds too many: a provider is asked for each, and answers the whole hub so often an hour.

    What a channel's own key adds counts for the first owner.
    """
    user = actor.user
    if user is None and channel:
        owner = Member.objects.filter(channel=channel, role=Role.OWNER).order_by("pk").select_related("user").first()
        user = owner.user if owner else None
    if user and not user.is_superuser:
        counters.hit("publisher-by-account", f"user {user.pk}", "new trusted publishers of yours")


def _values(
    issuer: Issuer,
    fields: Mapping[str, str],
    pins: Mapping[str, str],
    may_upload: bool,
    may_read: bool,
    globs: Iterable[str],
) -> dict[str, Any]:
    if not (may_upload or may_read):
        raise bad_request("no_right", "The publisher may neither upload nor read; choose at least one of the two.")
    return {
        "issuer": issuer,
        "fields": dict(fields),
        "identity": hashlib.sha256(orjson.dumps(dict(fields), option=orjson.OPT_SORT_KEYS)).hexdigest(),
        "subject": PROVIDERS[issuer.provider].subject(fields),
        "pins": dict(pins),
        "may_upload": may_upload,
        "may_read": may_read,
        "package_globs": api_keys.clean_globs(globs, "A publisher"),
    }


def _check_passed_on(actor: Actor, channel: Channel, values: Mapping[str, Any]) -> None:
    rights = {Permission.READ: values["may_read"], Permission.UPLOAD: values["may_upload"]}
    wanted = [permission for permission, is_wanted in rights.items() if is_wanted]
    delegation.check(actor, channel, wanted=wanted, globs=values["package_globs"], what="a publisher")


def _remove_ended(publishers: QuerySet[TrustedPublisher]) -> None:
    """Remove publishers of expired or revoked keys: they have no rights any more."""
    for publisher in publishers.filter(delegation.made_with_ended()).select_related("channel", "issuer", "made_with"):
        record(Action.PUBLISHER_REMOVE, Actor(), publisher, reason=f"The key '{publisher.made_with}' has ended.")
        publisher.delete()


def _create(**values: Any) -> TrustedPublisher:
    try:
        with transaction.atomic():
            return TrustedPublisher.objects.create(**values)
    except IntegrityError:
        raise conflict("publisher_exists", "This publisher is there already; remove it first to change it.") from None


def _is_for_a_new_package(channel: Channel, globs: list[str]) -> bool:
    """Tell whether all globs are package names, and none of these packages exists."""
    if not globs or any(character in glob for glob in globs for character in "*?["):
        return False
    return not Package.objects.filter(channel=channel, name__in=globs).exists()


def _pending_until() -> datetime:
    return timezone.now() + PENDING


def _waiting(user: User) -> int:
    """Return the number of the user's pending publishers, after deleting expired ones."""
    waiting = user.trusted_publishers.filter(channel=None)
    waiting.filter(expires_at__lte=timezone.now()).delete()
    return waiting.count()


def _check_room(actor: Actor, channel: Channel) -> None:
    have, most = channel.publishers.count(), settings.HUB_CHANNEL_PUBLISHERS
    if most and have >= most and not (actor.user and actor.user.is_superuser):
        raise forbidden(
            "publishers_limit",
            f"'{channel}' has {have:,} trusted publishers; a channel may have {most:,}. Remove one that is not used.",
        )


def _check_share(user: User | None, issuer: Issuer, subject: str) -> None:
    """Refuse a publisher that an exchange would never serve; see candidates.bounded()."""
    if user is None or not subject:
        return
    user_limits.lock_users(user)
    have, most = user.trusted_publishers.filter(issuer=issuer, subject=subject).count(), candidates.USERS_MAX
    if have >= most:
        raise forbidden(
            "publishers_limit",
            f"You have {have} trusted publishers of '{subject}'; one token serves at most {most} per user. "
            "Remove one that is not used.",
        )


def _make_channel(publisher: TrustedPublisher) -> Channel:
    owner = publisher.created_by
    try:
        if owner is None:
            raise conflict("owner_gone", "The user who added the publisher has no account any more.")
        return channels.create(name=publisher.channel_name, owner=owner, is_private=True)
    except HubError as error:
        raise BadToken(
            Code.CHANNEL_TAKEN, f"The channel '{publisher.channel_name}' can't be made: {error.detail}"
        ) from None
