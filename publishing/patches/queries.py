"""Reads of patches."""

from django.db.models import QuerySet

from channels_app.models import Channel
from hub.errors import not_found
from publishing.models import Patch


def patches(channel: Channel, *, is_active: bool) -> QuerySet[Patch]:
    """Select the active patches in their order, or the ended ones, the last one first."""
    found = Patch.objects.filter(channel=channel, ended_at__isnull=is_active)
    found = found.select_related("channel", "created_by", "ended_by")
    return found.order_by("position") if is_active else found.order_by("-ended_at", "-pk")


def patch_of(channel: Channel, patch_id: int) -> Patch:
    """Return a patch of the channel. Raise HubError 404 if it has none with this id."""
    found = Patch.objects.select_related("channel", "created_by", "ended_by", "replaces")
    patch = found.filter(channel=channel, pk=patch_id).first()
    if patch is None:
        raise not_found("no_such_patch", f"'{channel}' has no patch {patch_id} (any more).")
    return patch
