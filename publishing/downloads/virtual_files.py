"""Files of a virtual channel that are its members': shards, and packages with their sidecars."""

from channels_app.models import Channel
from channels_app.packages.queries import no_such_file
from publishing.downloads.delivery import NEVER_CHANGES, File
from publishing.downloads.lookup import ChannelLookup
from publishing.index import shards

SHARD = """SELECT c.name, s.subdir FROM publishing_mergedshard x
JOIN publishing_subdirindex i ON i.id = x.index_id JOIN publishing_subdirindex s ON s.id = x.source_id
JOIN channels_app_channel c ON c.id = s.channel_id
WHERE i.channel_id = %s AND i.subdir = %s AND x.sha256 = %s AND c.deleted_at IS NULL AND EXISTS (
SELECT 1 FROM publishing_virtualmember WHERE channel_id = i.channel_id AND member_id = c.id AND label = s.label)"""
MEMBER = """SELECT c.id, c.name, c.kind, m.label FROM publishing_virtualname n
JOIN publishing_virtualmember m ON m.id = n.member_id JOIN channels_app_channel c ON c.id = m.member_id
WHERE n.channel_id = %s AND n.name = %s AND c.deleted_at IS NULL"""


def shard(lookup: ChannelLookup, subdir: str, sha256: str) -> File:
    """Return the member's shard, or raise HubError 404: a virtual channel serves no other shards of its members."""
    row = lookup.row(SHARD, lookup.channel.pk, subdir, sha256)
    if row is None:
        raise no_such_file(lookup.channel, subdir, shards.shard_file(sha256))
    channel, place = row
    return File(
        etag=sha256, caching=NEVER_CHANGES, key=f"{channel}/{place}/{shards.shard_file(sha256)}", may_be_gone=True
    )


def member_with(lookup: ChannelLookup, subdir: str, file_name: str) -> tuple[ChannelLookup, str]:
    """Return the member, and its label, that brings the package of this file. Raise HubError 404 if there is none.

    The member's own files of the same name are found by its channel, whatever its kind.
    """
    row = lookup.row(MEMBER, lookup.channel.pk, file_name.rsplit("-", 2)[0])
    if row is None:
        raise no_such_file(lookup.channel, subdir, file_name)
    pk, name, kind, label = row
    # Its name can get another member, whose file of the same name has other bytes.
    member = Channel(pk=pk, name=name, kind=kind, allow_overwrite=True)
    return ChannelLookup(member, lookup.access_revision), label
