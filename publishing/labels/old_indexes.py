"""Removal of the indexes of deleted labels from the database and the store."""

from django.db import transaction
from django.db.models import Exists, OuterRef

from channels_app.models import Channel, Label
from hub.locks import try_lock
from hub.storage import store
from publishing.index import builds, marks
from publishing.models import SubdirIndex

HAS_LABEL = Exists(Label.objects.filter(channel=OuterRef("channel"), name=OuterRef("label")))


def remove_old_indexes() -> None:
    """Remove the indexes without a label. Skip an index during its build, which would leave files."""
    old = SubdirIndex.objects.exclude(label="").filter(~HAS_LABEL).select_related("channel")
    for index in old.order_by("pk"):
        with try_lock(builds.lock_name(index.pk)) as held:
            if held and not _has_label(index):
                _remove(index)


def _remove(index: SubdirIndex) -> None:
    """Delete the files, outside a transaction, then the row. A label that was created meanwhile gets new files."""
    for key in list(store().list(f"{index.folder}/")):
        store().delete(key)
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).filter(pk=index.channel_id).first()
        if _has_label(index):
            marks.mark_stale(index.channel, index.platform, builds.all_names(index), label=index.label)
        else:
            index.delete()


def _has_label(index: SubdirIndex) -> bool:
    return Label.objects.filter(channel=index.channel_id, name=index.label).exists()
