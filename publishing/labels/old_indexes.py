"""Removal of the indexes of deleted labels from the database and the store."""

from django.db import transaction
from django.db.models import Exists, OuterRef

from channels_app.models import Channel
from hub.locks import try_lock
from hub.storage import store
from publishing.index import builds, marks
from publishing.models import SubdirIndex, VirtualMember


def remove_old_indexes() -> None:
    """Remove the indexes without a label, but not of members of virtual channels: names stay with their member.

    Skip an index during its build, which would leave files.
    """
    is_member = Exists(VirtualMember.objects.filter(member=OuterRef("channel"), label=OuterRef("label")))
    old = SubdirIndex.objects.exclude(marks.IN_USE).exclude(is_member).select_related("channel")
    for index in old.order_by("pk"):
        with try_lock(builds.lock_name(index.pk)) as held:
            if held and not marks.is_in_use(index):
                _remove(index)


def _remove(index: SubdirIndex) -> None:
    """Delete the files, outside a transaction, then the row. A label that was created meanwhile gets new files."""
    for key in list(store().list(f"{index.folder}/")):
        store().delete(key)
    with transaction.atomic():
        Channel.objects.select_for_update(no_key=True).filter(pk=index.channel_id).first()
        if marks.is_in_use(index):
            marks.mark_stale(index.channel, index.platform, builds.all_names(index), label=index.label)
        else:
            index.delete()
