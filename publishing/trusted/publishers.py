"""Trusted publishers: adding, pinning and removing them, and finding those that a token speaks for."""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from channels_app import acts, audit, channels, keys
from channels_app.access import Actor
from channels_app.models import AuditEvent, Channel, Package, User
from hub import fetching
from hub.errors import HubError, bad_request, conflict
from hub.fetching import FetchError
from publishing.id_tokens.providers import PROVIDERS
from publishing.id_tokens.rules import BadToken, Claims, Code, Difference
from publishing.models import Issuer, TrustedPublisher

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
    """Let a CI publish to `channel`, or read it. `fields` are those of Provider.clean(), `pins` known stable ids.

    The provider is asked for its stable ids, which pin the publisher; else the first exchange pins it.
    """
    pins = checked_pins(issuer, fields, pins or {})
    with transaction.atomic():
        locked = acts.hold("publisher.add", actor, channel)
        values = _values(issuer, fields, pins, may_upload, may_read, package_globs)
        values["expires_at"] = _pending_until() if _is_for_a_new_package(locked, values["package_globs"]) else None
        publisher = _create(channel=locked, created_by=actor.user, **values)
        _record("publisher.add", actor, publisher)
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
    """Let a CI make the channel `channel_name`, as the user's own, by its first exchange within 30 days."""
    channels.check_name(channel_name)
    if Channel.objects.filter(name=channel_name).exists():
        raise conflict("channel_exists", f"There is a channel '{channel_name}' already; choose another name.")
    pins = checked_pins(issuer, fields, pins or {})
    values = _values(issuer, fields, pins, may_upload=True, may_read=False, globs=package_globs)
    with transaction.atomic():
        publisher = _create(channel_name=channel_name, created_by=user, expires_at=_pending_until(), **values)
        _record("publisher.add", Actor(user=user), publisher)
    return publisher


@transaction.atomic
def remove(*, actor: Actor, publisher: TrustedPublisher) -> None:
    """From the next request on its CI may do nothing more here, with a key that was minted already neither."""
    if publisher.channel:
        acts.hold("publisher.remove", actor, publisher.channel)
    _record("publisher.remove", actor, publisher)
    publisher.delete()


def checked_pins(issuer: Issuer, fields: Mapping[str, str], typed: Mapping[str, str]) -> dict[str, str]:
    """The stable ids by the provider's word and by whoever typed them in; 400 where the two differ."""
    known, typed = stable_ids(issuer, fields), {name: value for name, value in typed.items() if value}
    for name, value in typed.items():
        if known.get(name, value) != value:
            raise bad_request(
                "pins_differ", f"{name} is '{known[name]}' by the provider's own word, not '{value}'; leave it empty."
            )
    return known | typed


def stable_ids(issuer: Issuer, fields: Mapping[str, str]) -> dict[str, str]:
    """The ids by which the provider knows what `fields` name; empty where it does not tell."""
    provider = PROVIDERS[issuer.provider]
    url = provider.lookup_url(fields, issuer.url)
    try:
        return provider.pins_from(orjson.loads(fetching.get(url))) if url else {}
    except (FetchError, ValueError, KeyError, TypeError) as error:
        logger.info("no stable ids for %s of %s: %s", provider.subject(fields), issuer, error)
        return {}


def matching(issuer: Issuer, signed_claims: Claims) -> list[TrustedPublisher]:
    """The publishers that a token speaks for, in each channel the most specific one. Raises BadToken for none."""
    provider = PROVIDERS[issuer.provider]
    candidates = _candidates(issuer, signed_claims)
    differences = {each: provider.difference(each.fields, each.pins, signed_claims) for each in candidates}
    _tell_of_resurrected(differences)
    matched = [publisher for publisher, difference in differences.items() if difference is None]
    if not matched:
        raise _refusal(issuer, signed_claims, [each for each in differences.values() if each])
    matched.sort(key=lambda publisher: provider.specificity(publisher.fields))
    return list({(each.channel_id, each.channel_name): each for each in matched}.values())


def settle(publisher: TrustedPublisher, signed_claims: Claims) -> None:
    """What a first exchange settles, within its transaction: the ids are pinned, a pending channel is made."""
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
        _record("publisher.first_use", Actor(), publisher, pins=publisher.pins)


def forget_expired() -> None:
    """Remove the pending publishers that nobody has used in time."""
    TrustedPublisher.objects.filter(expires_at__lt=timezone.now()).delete()


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
        "package_globs": keys.clean_globs(globs, "A publisher"),
    }


def _create(**values: Any) -> TrustedPublisher:
    try:
        with transaction.atomic():
            return TrustedPublisher.objects.create(**values)
    except IntegrityError:
        raise conflict("publisher_exists", "This publisher is there already; remove it first to change it.") from None


def _is_for_a_new_package(channel: Channel, globs: list[str]) -> bool:
    """Whether it is for package names that do not exist yet, and for nothing else."""
    if not globs or any(character in glob for glob in globs for character in "*?["):
        return False
    return not Package.objects.filter(channel=channel, name__in=globs).exists()


def _pending_until() -> datetime:
    return timezone.now() + PENDING


def _candidates(issuer: Issuer, signed_claims: Claims) -> list[TrustedPublisher]:
    """Those of the token's name, and those that are pinned to its id under another name."""
    provider = PROVIDERS[issuer.provider]
    wanted = Q(subject=provider.claimed_subject(signed_claims))
    pins = provider.pins_in(signed_claims)
    if provider.pins:
        wanted |= Q(**{f"pins__{provider.pins[0]}": pins[provider.pins[0]]})
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    reachable = Q(channel=None, created_by__is_active=True) | Q(channel__deleted_at=None, channel__isnull=False)
    return list(issuer.publishers.filter(wanted, in_time, reachable).select_related("channel", "issuer"))


def _tell_of_resurrected(differences: Mapping[TrustedPublisher, Difference | None]) -> None:
    """Somebody else has the name now: its owners shall know, though the token is refused."""
    for publisher, difference in differences.items():
        if difference and difference.is_pin and publisher.channel and not _was_told(publisher):
            detail = {"expected": difference.expected, "found": difference.found}
            _record("publisher.refuse", Actor(), publisher, **detail)


def _was_told(publisher: TrustedPublisher) -> bool:
    """Whether the last day has such an event already: a CI tries again and again."""
    since = timezone.now() - timedelta(days=1)
    events = AuditEvent.objects.filter(channel=publisher.channel, created_at__gt=since)
    return events.filter(action="publisher.refuse", target=_target(publisher)).exists()


def _refusal(issuer: Issuer, signed_claims: Claims, differences: list[Difference]) -> BadToken:
    subject = PROVIDERS[issuer.provider].claimed_subject(signed_claims)
    for difference in sorted(differences, key=lambda each: not each.is_pin):
        if subject:
            code = Code.RESURRECTED if difference.is_pin else Code.PUBLISHER_DIFFERS
            return BadToken(code, difference.sentence)
    return BadToken(
        Code.NO_PUBLISHER,
        f"No channel trusts '{subject or signed_claims['sub']}' of {issuer}. "
        "Somebody who manages the channel can add it there, under Trusted publishers.",
    )


def _make_channel(publisher: TrustedPublisher) -> Channel:
    owner = publisher.created_by
    try:
        if owner is None:
            raise conflict("owner_gone", "Who wanted it has no account any more.")
        return channels.create(name=publisher.channel_name, owner=owner, is_private=True)
    except HubError as error:
        raise BadToken(
            Code.CHANNEL_TAKEN, f"The channel '{publisher.channel_name}' can't be made: {error.detail}"
        ) from None


def _record(action: str, actor: Actor, publisher: TrustedPublisher, **detail: Any) -> None:
    audit.record(
        action,
        by=actor,
        channel=publisher.channel,
        target=_target(publisher),
        detail={"channel": str(publisher.channel or publisher.channel_name), "fields": publisher.fields, **detail},
    )


def _target(publisher: TrustedPublisher) -> str:
    return f"{PROVIDERS[publisher.issuer.provider].title}: {publisher.subject or publisher.issuer}"[:300]
