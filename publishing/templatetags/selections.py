"""Template tags of lists of files with ticks: the boxes of templates/selections/box.html, and the bar below them."""

from urllib.parse import urlencode

from django import template
from django.urls import reverse

from channels_app.models import Channel
from publishing.selections.acts import ACTS

register = template.Library()


@register.simple_tag
def selection_address(channel: Channel, **filters: str) -> str:
    """Return the URL of the page that lists the files of `channel` that all filters select."""
    return f"{reverse('channel-select', args=[channel.name])}?{urlencode(filters)}"


@register.inclusion_tag("selections/bar.html")
def selection_bar(channel: Channel, address: str) -> dict[str, object]:
    """Show the acts on ticked files. `address` is the page of the selection, with the filters to return to."""
    return {"channel": channel, "address": address, "acts": ACTS.values()}
