"""Builders of virtual channels and their indexes."""

import json
from typing import Any

import msgpack
import zstandard

from channels_app.access.permissions import Actor
from channels_app.models import Channel, ChannelKind, User
from hub.storage import store
from publishing.index import builds
from publishing.models import SubdirIndex
from publishing.virtual import virtual
from publishing.virtual.virtual import MemberText, RuleText, Wanted
from tests.builders import make_channel


def make_virtual(owner: User, *members: str, name: str = "all", is_private: bool = False) -> Channel:
    """Create a virtual channel of members such as `acme` or `acme/label/dev`."""
    channel = make_channel(name, owner=owner, is_private=is_private, kind=ChannelKind.VIRTUAL)
    set_members(owner, channel, *members)
    return channel


def set_members(owner: User, channel: Channel, *members: str, rules: tuple[RuleText, ...] | None = None) -> None:
    """Replace the members, and the rules if they are given."""
    kept = virtual.stated(channel).rules if rules is None else rules
    wanted = Wanted([member_text(each) for each in members], kept)
    virtual.change(actor=Actor(user=owner), channel=channel, wanted=wanted)


def member_text(text: str) -> MemberText:
    channel, _, label = text.partition("/label/")
    return MemberText(channel, label)


def build_all() -> None:
    """Build every stale index, until none is left: builds of members mark virtual channels stale."""
    builds.note_members()
    while stale := [index.pk for index in SubdirIndex.objects.order_by("subdir", "pk") if not index.is_current]:
        for pk in sorted(stale, key=lambda pk: SubdirIndex.objects.get(pk=pk).subdir == ""):
            builds.build_until_current(pk)


def repodata(channel: Channel | str, subdir: str = "noarch", name: str = "repodata.json") -> dict[str, Any]:
    """Return the parsed index file, which is the same in both encodings."""
    plain = b"".join(store().open(f"{channel}/{subdir}/{name}"))
    assert zstandard.decompress(b"".join(store().open(f"{channel}/{subdir}/{name}.zst"))) == plain
    found: dict[str, Any] = json.loads(plain)
    return found


def file_names(channel: Channel | str, subdir: str = "noarch") -> list[str]:
    """Return the file names that repodata.json lists. Its names are those of the shard index."""
    found = repodata(channel, subdir)
    listed = found["packages"] | found["packages.conda"]
    assert shards(channel, subdir).keys() == {record["name"] for record in listed.values()}
    return sorted(listed)


def shards(channel: Channel | str, subdir: str = "noarch") -> dict[str, str]:
    """Return name → SHA-256 of the shard index."""
    packed = b"".join(store().open(f"{channel}/{subdir}/repodata_shards.msgpack.zst"))
    return {name: sha256.hex() for name, sha256 in msgpack.unpackb(zstandard.decompress(packed))["shards"].items()}
