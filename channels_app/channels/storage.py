"""Storage of channels: their quotas, and the warnings of channels that are nearly full."""

from django.db import transaction
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Channel
from channels_app.quotas import channel_quotas
from channels_app.quotas.channel_quotas import ChannelUsage
from hub.errors import forbidden


@transaction.atomic
def set_quota(*, actor: Actor, channel: Channel, quota_bytes: int | None) -> Channel:
    """Set the limit of stored bytes: None for the hub's default, 0 for none. Only administrators may do so."""
    acts.check_credential_kind(Action.CHANNEL_QUOTA, actor)
    if not (actor.user and actor.user.is_superuser):
        raise forbidden("administrators_only", "Only administrators can set the quota of a channel; ask one.")
    locked = Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
    if locked.quota_bytes != quota_bytes:
        detail = {"quota_bytes": {"from": locked.quota_bytes, "to": quota_bytes}}
        locked.quota_bytes = quota_bytes
        locked.save(update_fields=["quota_bytes"])
        log.record(Action.CHANNEL_QUOTA, by=actor, channel=locked, target=locked.name, detail=detail)
    return locked


def warn() -> None:
    """Notify the owners of channels that are nearly full: once, until the usage falls below the bound again."""
    channels = Channel.objects.filter(deleted_at=None).defer("logo")
    for channel in channels.annotate(stored_bytes=channel_quotas.stored_bytes()).iterator():
        found = ChannelUsage(getattr(channel, "stored_bytes"), channel.quota_limit_bytes)  # noqa: B009
        if found.is_nearly_full != bool(channel.quota_warned_at):
            _record_warning(channel, found)


@transaction.atomic
def _record_warning(channel: Channel, found: ChannelUsage) -> None:
    before = Channel.objects.filter(pk=channel.pk, quota_warned_at__isnull=found.is_nearly_full)
    changed = before.update(quota_warned_at=timezone.now() if found.is_nearly_full else None)
    if changed and found.is_nearly_full:
        detail = {"stored_bytes": found.stored_bytes, "limit_bytes": found.limit_bytes}
        log.record(Action.CHANNEL_NEARLY_FULL, channel=channel, target=channel.name, detail=detail)
