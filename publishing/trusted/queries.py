"""Reads for the pages of trusted publishers."""

from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from channels_app import passing_on
from channels_app.models import Channel, User
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher


@dataclass(frozen=True, slots=True)
class Listed:
    """A trusted publisher as lists show it. `conditions` are the fields beside its name: (title, value)."""

    publisher: TrustedPublisher
    provider: Provider
    name: str
    url: str
    conditions: list[tuple[str, str]]
    is_pinned: bool


def channel_publishers(channel: Channel) -> list[Listed]:
    """The trusted publishers of `channel`, those that wait for their package included; one query."""
    return _listed(channel.publishers.filter(passing_on.living()))


def pending_publishers(user: User) -> list[Listed]:
    """Those that `user` has added for channels that do not exist yet; one query."""
    in_time = TrustedPublisher.objects.filter(created_by=user, channel=None, expires_at__gt=timezone.now())
    return _listed(in_time)


def _listed(publishers: QuerySet[TrustedPublisher]) -> list[Listed]:
    return [listed(each) for each in publishers.select_related("issuer", "created_by", "made_with")]


def listed(publisher: TrustedPublisher) -> Listed:
    provider, fields = PROVIDERS[publisher.issuer.provider], publisher.fields
    titles = {field.name: field.title for field in provider.fields}
    return Listed(
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
