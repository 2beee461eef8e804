"""Template tags of upstream channels."""

from collections.abc import Collection

from django import template

from channels_app.models import Channel
from publishing.models import UpstreamName
from publishing.upstreams import queries, upstreams
from publishing.upstreams.queries import HiddenRecord
from publishing.upstreams.store_transport import is_place

RECORDS_SHOWN = 50

register = template.Library()


@register.inclusion_tag("upstreams/state.html")
def upstream_state(channel: Channel, may: Collection[str]) -> dict[str, object]:
    """Show where the packages of a channel come from, and how it is up to date."""
    upstream = upstreams.of(channel)
    # Names of folders and buckets are for those who manage the channel.
    is_shown = "manage" in may or not is_place(upstream.url)
    source = upstream.url if is_shown else "files that the hub reads"
    return {"upstream": upstream, "source": source, "counts": queries.counts(channel), "may": may}


@register.filter
def hidden_records(row: UpstreamName) -> list[HiddenRecord]:
    return queries.hidden_records(row)[:RECORDS_SHOWN]
