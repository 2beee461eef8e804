"""Template tags for search results, client instructions and the expiry of keys."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from channels_app.authentication.api_key_expiry import WARNED_BEFORE
from channels_app.models import ApiKey, Channel, ChannelKind
from channels_app.templatetags.ui import pill

register = template.Library()


@register.filter
def marked(text: str, words: Sequence[str]) -> SafeString:
    """Return `text`, escaped, with every occurrence of one of `words` in a <mark>."""
    if not words:
        return escape(text)
    longest_first = sorted(words, key=len, reverse=True)
    pieces = re.split("({})".format("|".join(re.escape(word) for word in longest_first)), text, flags=re.IGNORECASE)
    # Every second piece is a match.
    html = "".join(f"<mark>{escape(piece)}</mark>" if n % 2 else escape(piece) for n, piece in enumerate(pieces))
    return mark_safe(html)  # noqa: S308  # nosec B308, B703  # every piece is escaped above


@register.inclusion_tag("channels/use.html")
def use_channel(channel: Channel) -> dict[str, Any]:
    """Render install and upload commands of each client for the channel: `{% use_channel channel %}`."""
    return _origin() | {
        "channel": channel,
        "takes_uploads": channel.kind == ChannelKind.PACKAGES,
        "address": f"{settings.HUB_PUBLIC_URL}/{channel.name}",
        "key_address": f"{settings.HUB_PUBLIC_URL}/t/KEY/{channel.name}" if settings.HUB_PATH_KEYS else "",
    }


@register.inclusion_tag("keys/use.html")
def use_key(key: ApiKey, secret: str) -> dict[str, Any]:
    """Render each client's setup with a new key, on the only page that shows it: `{% use_key key secret %}`."""
    channels = [key.robot_of] if key.robot_of else list(key.channels.all()[:2])
    return _origin() | {
        "secret": secret,
        "channel": str(channels[0]) if len(channels) == 1 else "",
        "has_path_keys": settings.HUB_PATH_KEYS,
    }


@register.simple_tag
def expiry(key: ApiKey) -> SafeString | str:
    """Return the day on which a key expires. If that is past or soon, return a pill."""
    if key.expires_at is None:
        return "never"
    day = f"{key.expires_at.day} {key.expires_at:%b %Y}"
    if key.expires_at <= timezone.now():
        return pill("expired")
    return pill("pending", f"Until {day}") if key.expires_at < timezone.now() + WARNED_BEFORE else day


def _origin() -> dict[str, Any]:
    """Return the hub's public URL and its parts, as clients need them."""
    origin = urlsplit(settings.HUB_PUBLIC_URL)
    return {
        "hub_url": settings.HUB_PUBLIC_URL,
        "authority": origin.netloc,
        "host": origin.hostname,
        "is_https": origin.scheme == "https",
        "has_port": origin.port is not None,
    }
