"""Queries for the pages of trusted publishers."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from channels_app.authentication import delegation
from channels_app.models import Channel, User
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher

# The related rows that a list shows.
SHOWN = ("issuer", "created_by", "made_with")


@dataclass(frozen=True, slots=True)
class PublisherRow:
    """A trusted publisher as lists show it. `conditions` are (title, value) of its other fields."""

    publisher: TrustedPublisher
    provider: Provider
    name: str
    url: str
    conditions: list[tuple[str, str]]
    is_pinned: bool


def channel_publishers(channel: Channel) -> list[PublisherRow]:
    """Return the publishers of `channel`, including those that wait for their package; one query."""
    return [listed(each) for each in active(channel)]


def pending_publishers(user: User) -> list[PublisherRow]:
    """Return the user's publishers for channels that do not exist yet; one query."""
    return [listed(each) for each in pending(user)]


def pending(user: User) -> QuerySet[TrustedPublisher]:
    in_time = TrustedPublisher.objects.filter(created_by=user, channel=None, expires_at__gt=timezone.now())
    return in_time.select_related(*SHOWN)


def active(channel: Channel) -> QuerySet[TrustedPublisher]:
    """Return the channel's publishers without those of keys that no longer work, with the rows that a list shows."""
    return channel.publishers.filter(delegation.made_with_usable()).select_related(*SHOWN)


def listed(publisher: TrustedPublisher) -> PublisherRow:
    provider, fields = PROVIDERS[publisher.issuer.provider], publisher.fields
    titles = {field.name: field.title for field in provider.fields}
    return PublisherRow(
        publisher=publisher,
        provider=provider,
        name=publisher.subject or publisher.issuer.url,
        url=provider.page_url(fields, publisher.issuer.url),
        conditions=[
            (title, fields[name])
            for name, title in titles.items()
            if fields[name] and fields[name].lower() != publisher.subject
        ],
        is_pinned=set(provider.pins) <= set(publisher.pins),
    )
