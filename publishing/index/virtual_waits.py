"""Virtual channels take in the builds of their members, now or later.

A build does not wait for a virtual channel whose members or rules are being saved, and spends little time on many
virtual channels: they may belong to strangers. What it leaves is stored in `WaitingBuild`, and taken in by workers.
"""

import time
from collections.abc import Sequence

from django.db import connection, transaction
from django.db.models import Min

from channels_app.channels import channels
from publishing.index import marks, virtual_names
from publishing.index.marks import NAMES_AT_ONCE
from publishing.models import SubdirIndex, VirtualMember, WaitingBuild

# Time that a build, or a look for waiting builds, may spend on virtual channels.
NOTE_S = 0.2
# The number of builds tells take_in() that another build came meanwhile.
WAIT = """INSERT INTO publishing_waitingbuild AS mine (channel_id, index_id, since, builds) VALUES (%s, %s, %s, 1)
ON CONFLICT (channel_id, index_id) DO UPDATE SET builds = mine.builds + 1,
since = CASE WHEN excluded.since < mine.since THEN excluded.since ELSE mine.since END"""


def note_build(index: SubdirIndex, names: Sequence[str]) -> list[SubdirIndex]:
    """Mark the virtual channels stale that have the built index's channel or label as a member.

    Call it when the pieces of `names` are ready, before the build ends: a killed build is repeated. Returns the marked
    indexes.
    """
    ends = time.monotonic() + NOTE_S
    marked: list[SubdirIndex] = []
    later: list[int] = []
    found = VirtualMember.objects.filter(member=index.channel_id, label=index.label).select_related("channel")
    # New rows of a virtual channel that is purged meanwhile would make this build fail.
    found = found.exclude(channel__deleted_at__lt=channels.purge_before())
    for member in found.order_by("channel"):
        noted = _note(member, index, names) if time.monotonic() < ends else None
        if noted is None:
            later.append(member.channel_id)
        marked += noted or []
    if later:
        since = _oldest_change(index, names) - 1
        with connection.cursor() as cursor:
            cursor.executemany(WAIT, [(channel_id, index.pk, since) for channel_id in later])
    return marked


def note_waiting() -> list[SubdirIndex]:
    """Mark virtual channels stale for builds that wait, the oldest first. Channels that are changing wait on."""
    ends = time.monotonic() + NOTE_S
    marked: list[SubdirIndex] = []
    for pk in WaitingBuild.objects.order_by("pk").values_list("pk", flat=True).iterator():
        if time.monotonic() > ends:
            break
        waiting = WaitingBuild.objects.filter(pk=pk).select_related("channel", "index__channel").first()
        if waiting:
            marked += _take_in(waiting)
    return marked


@transaction.atomic
def _take_in(waiting: WaitingBuild) -> list[SubdirIndex]:
    index = waiting.index
    found = VirtualMember.objects.filter(channel=waiting.channel_id, member=index.channel_id, label=index.label)
    member = found.select_related("channel").first()
    names = list(index.names.filter(changed__gt=waiting.since).values_list("name", flat=True)) if index.subdir else []
    noted = _note(member, index, names) if member else []
    if noted is not None:
        WaitingBuild.objects.filter(pk=waiting.pk, builds=waiting.builds).delete()
    return noted or []


@transaction.atomic
def _note(member: VirtualMember, index: SubdirIndex, names: Sequence[str]) -> list[SubdirIndex] | None:
    """Return the indexes that were marked, or None if the names of the virtual channel are changing."""
    if not virtual_names.try_lock(member.channel):
        return None
    if not index.subdir:
        return [marks.mark_stale(member.channel, "", [])]
    return virtual_names.note_names(member, index, names)


def _oldest_change(index: SubdirIndex, names: Sequence[str]) -> int:
    """Return the lowest revision at which one of the names changed, or 1."""
    batches = [names[start : start + NAMES_AT_ONCE] for start in range(0, len(names), NAMES_AT_ONCE)]
    found = [index.names.filter(name__in=batch).aggregate(oldest=Min("changed"))["oldest"] for batch in batches]
    return min((revision for revision in found if revision), default=1)
