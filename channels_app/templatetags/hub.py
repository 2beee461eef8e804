"""Tags that know the hub's own things: what a search found in a text, how to use a channel."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from channels_app.models import Channel

register = template.Library()


@register.filter
def marked(text: str, words: Sequence[str]) -> SafeString:
    """`text`, escaped, with every occurrence of one of `words` in a <mark>."""
    if not words:
        return escape(text)
    longest_first = sorted(words, key=len, reverse=True)
    pieces = re.split("({})".format("|".join(re.escape(word) for word in longest_first)), text, flags=re.IGNORECASE)
    # Every second piece is one that was found.
    html = "".join(f"<mark>{escape(piece)}</mark>" if n % 2 else escape(piece) for n, piece in enumerate(pieces))
    return mark_safe(html)  # noqa: S308 (every piece is escaped above)


@register.inclusion_tag("parts/use_channel.html")
def use_channel(channel: Channel) -> dict[str, Any]:
    """How to install from `channel` and publish to it with each client, ready to paste: `{% use_channel channel %}`."""
    origin = urlsplit(settings.HUB_PUBLIC_URL)
    return {
        "channel": channel,
        "hub_url": settings.HUB_PUBLIC_URL,
        "address": f"{settings.HUB_PUBLIC_URL}/{channel.name}",
        "key_address": f"{settings.HUB_PUBLIC_URL}/t/KEY/{channel.name}" if settings.HUB_PATH_KEYS else "",
        "authority": origin.netloc,
        "host": origin.hostname,
        "is_https": origin.scheme == "https",
        "has_port": origin.port is not None,
    }
