"""Reads of virtual channels."""

from django.db.models import Count, QuerySet

from channels_app.models import Channel
from publishing.models import VirtualMember, VirtualName


def members(channel: Channel) -> QuerySet[VirtualMember]:
    """Return the members in their order, each with `name_count`, the number of names that it brings."""
    return channel.virtual_members.select_related("member").annotate(name_count=Count("names"))


def names(channel: Channel, *, text: str = "") -> QuerySet[VirtualName]:
    """Return the names that contain `text`, each with its member. Deleted members bring no names."""
    found = channel.virtual_names.filter(member__member__deleted_at=None).select_related("member__member")
    return found.filter(name__contains=text.lower()).order_by("name") if text else found.order_by("name")
