"""The publishers that a token may speak for, of all users: what an exchange looks at, serves and tells is bounded."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from django.db.models import BigIntegerField, F, OuterRef, Q, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.authentication import delegation
from channels_app.models import AuditEvent, Member, Role
from publishing.id_tokens.claims import BadToken, ClaimMismatch, Claims, Code
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted.events import record, target

# How many publishers one token serves: of one user, and in all.
USERS_MAX = 50
SERVED_MAX = 200
# How many are compared with one token.
COMPARED_MAX = 5000
# How many users' publishers a refusal speaks of.
REPORTED_MAX = 3

# Those in use before those that never were, then the oldest: what is added displaces nothing that was there.
OLDEST_FIRST = (F("last_used_at").asc(nulls_last=True), "pk")

# A robot's publishers are of no user, and one user may have many channels.
FIRST_OWNER = Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER).order_by("pk").values("user")[:1]
TENANT = Coalesce("created_by_id", Subquery(FIRST_OWNER), output_field=BigIntegerField())


def of(issuer: Issuer, signed_claims: Claims) -> list[TrustedPublisher]:
    """Those of the token's name, and those that are pinned to its id under another name; every user's first ones first.

    A generic issuer's tokens have no name in common: one user's publishers of it must not come before everybody's.
    """
    provider = PROVIDERS[issuer.provider]
    wanted = Q(subject=provider.claimed_subject(signed_claims))
    pins = provider.pins_in(signed_claims)
    if provider.pins:
        wanted |= Q(**{f"pins__{provider.pins[0]}": pins[provider.pins[0]]})
    in_time = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
    reachable = Q(channel=None, created_by__is_active=True) | Q(channel__deleted_at=None, channel__isnull=False)
    found = issuer.publishers.filter(wanted, in_time, reachable, delegation.living())
    of_tenants = found.annotate(tenant_id=TENANT)
    ranked = of_tenants.annotate(rank=Window(RowNumber(), partition_by="tenant_id", order_by=OLDEST_FIRST))
    related = ranked.select_related("channel", "issuer", "made_with__owner")
    return list(related.order_by("rank", *OLDEST_FIRST)[:COMPARED_MAX])


def place(publisher: TrustedPublisher) -> tuple[object, ...]:
    """The channel of a publisher, or the one that it would make for its user: one publisher of each place is served."""
    if publisher.channel_id:
        return (publisher.channel_id,)
    return (publisher.channel_name, publisher.created_by_id)


def tenant(publisher: TrustedPublisher) -> tuple[str, int | None]:
    """Whose publisher it is: the user's who added it, else the first owner's of its channel, as `of` found it."""
    user_id = getattr(publisher, "tenant_id", publisher.created_by_id)
    return ("user", user_id) if user_id else ("channel", publisher.channel_id)


def bounded(matched: Iterable[TrustedPublisher]) -> list[TrustedPublisher]:
    """Those that one token serves: every user's first, then every user's second, and so on.

    However many others have added the repository, too, each user has a share.
    """
    own: dict[tuple[str, int | None], list[TrustedPublisher]] = {}
    for publisher in sorted(matched, key=lambda each: (each.last_used_at is None, each.pk)):
        own.setdefault(tenant(publisher), []).append(publisher)
    ranked = [ranked for each in own.values() for ranked in enumerate(each[:USERS_MAX])]
    return [publisher for _, publisher in sorted(ranked, key=lambda each: each[0])[:SERVED_MAX]]


def tell_of_resurrected(differences: Mapping[TrustedPublisher, ClaimMismatch | None]) -> None:
    """Somebody else has the name now: its owners shall know, though the token is refused; at most `bounded` ones."""
    resurrected = {each: found for each, found in differences.items() if found and found.is_pin and each.channel}
    for publisher in bounded(resurrected):
        if not _was_told(publisher):
            difference = resurrected[publisher]
            detail = {"expected": difference.expected, "found": difference.found}
            record("publisher.refuse", Actor(), publisher, **detail)


def refusal(
    issuer: Issuer, signed_claims: Claims, differences: Mapping[TrustedPublisher, ClaimMismatch | None]
) -> BadToken:
    """Why no publisher has what the token says; of several users' publishers, each user's nearest is told of."""
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
    """Resurrected only where that is so of every user's: what one has typed in says nothing of another's."""
    rest = [difference for difference in differences if not difference.is_pin]
    if not rest:
        return Code.RESURRECTED
    return Code.EVENT_REFUSED if all(difference.is_event for difference in rest) else Code.PUBLISHER_DIFFERS


def _was_told(publisher: TrustedPublisher) -> bool:
    """Tell whether the last day has such an event already: a CI tries again and again."""
    since = timezone.now() - timedelta(days=1)
    events = AuditEvent.objects.filter(channel=publisher.channel, created_at__gt=since)
    return events.filter(action="publisher.refuse", target=target(publisher)).exists()
