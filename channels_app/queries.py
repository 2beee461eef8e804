"""Reads for the pages."""

from django.db.models import Count, QuerySet

from channels_app.access import Actor, visible_channels
from channels_app.models import Channel


def channel_cards(actor: Actor) -> QuerySet[Channel]:
    """The channels that `actor` may know of, each with its `package_count`, by name; one query."""
    # Said again, because a query that groups drops the order of Meta.
    return visible_channels(actor).annotate(package_count=Count("packages", distinct=True)).order_by("name")
