"""notices.json: the notices of a channel, and those of the hub, as CEP 6 defines them."""

from typing import Any

import orjson
from django.db.models import Q

from channels_app.models import Channel
from publishing.models import ChannelNotice, Upstream


def content(channel: Channel) -> bytes:
    """Return notices.json, with the notices of members and upstreams. Expired ones stay until they are deleted."""
    members = channel.virtual_members.filter(member__deleted_at=None).values("member")
    is_listed = Q(channel=channel) | Q(channel__in=members) | Q(channel=None, for_clients=True)
    listed = ChannelNotice.objects.filter(is_listed).order_by("created_at", "pk")
    upstreams = Upstream.objects.filter(Q(channel=channel) | Q(channel__in=members), notices__isnull=False)
    of_upstreams = [entry for each in upstreams.order_by("pk") for entry in each.notices or []]
    return orjson.dumps({"notices": [*map(_entry, listed), *of_upstreams]})


def _entry(notice: ChannelNotice) -> dict[str, Any]:
    """Return a notice as clients read it. rattler refuses a notice that has both `expires_at` and `expired_at`."""
    return {
        "id": str(notice.uid),
        "message": notice.message,
        "level": notice.level,
        "created_at": notice.created_at.isoformat(timespec="seconds"),
        "expires_at": notice.expires_at.isoformat(timespec="seconds"),
    }
