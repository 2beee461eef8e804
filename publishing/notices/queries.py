"""Reads of the notices of a channel, or of the hub if the channel is None."""

from django.db.models import QuerySet
from django.utils import timezone

from channels_app.models import Channel
from hub.errors import not_found
from publishing.models import ChannelNotice


def current(channel: Channel | None) -> QuerySet[ChannelNotice]:
    """Select the notices that have not expired, oldest first."""
    found = ChannelNotice.objects.filter(channel=channel, expires_at__gt=timezone.now())
    return found.select_related("channel", "created_by").order_by("pk")


def notice_of(channel: Channel | None, notice_id: int) -> ChannelNotice:
    """Return a notice. Raise HubError 404 if there is none with this id."""
    notice = current(channel).filter(pk=notice_id).first()
    if notice is None:
        raise not_found("no_such_notice", f"'{channel or 'The hub'}' has no notice {notice_id} (any more).")
    return notice
