"""Reads of imports."""

from django.db.models import Count, QuerySet

from channels_app.models import Channel
from hub.errors import not_found
from publishing.models import Import


def imports(channel: Channel) -> QuerySet[Import]:
    """Return the imports of the channel, newest first, with the number of their refused files."""
    found = channel.imports.select_related("channel", "created_by", "created_with")
    return found.annotate(refused_files=Count("refused")).order_by("-pk")


def import_of(channel: Channel, import_id: int) -> Import:
    """Return an import of the channel. Raise HubError 404."""
    found = imports(channel).filter(pk=import_id).first()
    if found is None:
        raise not_found("no_such_import", f"'{channel}' has no import {import_id}.")
    return found
