"""The publishers of all users that may match a token. Numbers of compared, served and reported ones are limited."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.db.models import BigIntegerField, F, OuterRef, Q, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.authentication import delegation
from channels_app.models import AuditEvent, Member, Role
from publishing.id_tokens.claims import BadToken, ClaimMismatch, Claims, Code
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted.events import record, target

# The maximum number of publishers that one token serves: of one user, and in total.
USERS_MAX = 50
SERVED_MAX = 200
# The maximum number that is compared with one token.
COMPARED_MAX = 5000
# The maximum number of mismatches in an error.
REPORTED_MAX = 3

# Used publishers first, then the oldest: so a new publisher never displaces an existing one.
OLDEST_FIRST = (F("last_used_at").asc(nulls_last=True), "pk")

# Publishers that a channel key made have no user; they count for the first owner of the channel.
FIRST_OWNER = Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER).order_by("pk").values("user")[:1]
TENANT = Coalesce("created_by_id", Subquery(FIRST_OWNER), output_field=BigIntegerField())


def find(issuer: Issuer, signed_claims: Claims) -> list[TrustedPublisher]:
    """Return the publishers of the token's name, and those pinned to its id under another name, interleaved by user.

    The tokens of a generic issuer have no name in common, so one user's publishers must not precede all others.
    """
    provider = PROVIDERS[issuer.provider]
    wanted = Q(subject=provider.claimed_subject(signed_claims))
    pins = provider.pins_in(signed_claims)
    if provider.pins:
        wanted |= Q(**{f"pins__{provider.pins[0]}": pins[provider.pins[0]]})
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    reachable = Q(channel=None, created_by__is_active=True) | Q(channel__deleted_at=None, channel__isnull=False)
    found = issuer.publishers.filter(wanted, in_time, reachable, delegation.made_with_usable())
    of_tenants = found.annotate(tenant_id=TENANT)
    ranked = of_tenants.annotate(rank=Window(RowNumber(), partition_by="tenant_id", order_by=OLDEST_FIRST))
    related = ranked.select_related("channel", "issuer", "made_with__owner")
    return list(related.order_by("rank", *OLDEST_FIRST)[:COMPARED_MAX])


def place(publisher: TrustedPublisher) -> tuple[object, ...]:
    """Return the existing channel of a publisher, or the one that it will create. One publisher per place is served."""
    if publisher.channel_id:
        return (publisher.channel_id,)
    return (publisher.channel_name, publisher.created_by_id)


def tenant(publisher: TrustedPublisher) -> tuple[str, int | None]:
    """Return the tenant of a publisher: its user, else the first owner of its channel, as annotated by `of`."""
    user_id = getattr(publisher, "tenant_id", publisher.created_by_id)
    return ("user", user_id) if user_id else ("channel", publisher.channel_id)


def limited_per_user(matched: Iterable[TrustedPublisher]) -> list[TrustedPublisher]:
    """Return the publishers that one token serves: the first of every user, then the second of every user, and so on.

    So each user has a share, however many others added the same repository.
    """
    own: dict[tuple[str, int | None], list[TrustedPublisher]] = {}
    for publisher in sorted(matched, key=lambda each: (each.last_used_at is None, each.pk)):
        own.setdefault(tenant(publisher), []).append(publisher)
    ranked = [ranked for each in own.values() for ranked in enumerate(each[:USERS_MAX])]
    return [publisher for _, publisher in sorted(ranked, key=lambda each: each[0])[:SERVED_MAX]]


def record_resurrected(differences: Mapping[TrustedPublisher, ClaimMismatch | None]) -> None:
    """Record an event for the channel's owners if the repository name now belongs to a different id.

    The token is refused in any case. At most the `bounded` publishers get an event.
    """
    resurrected = {each: found for each, found in differences.items() if found and found.is_pin and each.channel}
    for publisher in limited_per_user(resurrected):
        if not _was_recorded(publisher):
            difference = resurrected[publisher]
            detail = {"expected": difference.expected, "found": difference.found}
            record(Action.PUBLISHER_REFUSE, Actor(), publisher, **detail)


def refusal(
    issuer: Issuer, signed_claims: Claims, differences: Mapping[TrustedPublisher, ClaimMismatch | None]
) -> BadToken:
    """Return the error for a token that matches no publisher. It states the nearest mismatch of each user."""
    subject = PROVIDERS[issuer.provider].claimed_subject(signed_claims)
    nearest: dict[tuple[str, int | None], ClaimMismatch] = {}
    for publisher, difference in sorted(differences.items(), key=lambda each: not (each[1] and each[1].is_pin)):
        if difference:
            nearest.setdefault(tenant(publisher), difference)
    if subject and nearest:
        sentences = dict.fromkeys(difference.sentence for difference in nearest.values())
        return BadToken(_code(nearest.values()), " ".join(list(sentences)[:REPORTED_MAX]))
    return BadToken(
        Code.NO_PUBLISHER,
        f"No channel trusts '{subject or signed_claims['sub']}' of {issuer}. "
        "Somebody who manages the channel can add it there, under Trusted publishers.",
    )


def _code(differences: Iterable[ClaimMismatch]) -> Code:
    """Return the code of the error; RESURRECTED only if it holds for the publishers of every user.

    One user's stable ids must not decide about the publishers of others.
    """
    rest = [difference for difference in differences if not difference.is_pin]
    if not rest:
        return Code.RESURRECTED
    return Code.EVENT_REFUSED if all(difference.is_event for difference in rest) else Code.PUBLISHER_DIFFERS


def _was_recorded(publisher: TrustedPublisher) -> bool:
    """Tell whether the same event was recorded within the last day, since a CI tries repeatedly."""
    since = timezone.now() - timedelta(days=1)
    events = AuditEvent.objects.filter(channel=publisher.channel, created_at__gt=since)
    return events.filter(action=Action.PUBLISHER_REFUSE, target=target(publisher)).exists()
