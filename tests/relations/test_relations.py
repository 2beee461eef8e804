"""Changes of a channel's relations, and the index files that list them."""

import json
from typing import Any

import msgpack
import pytest
import zstandard
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, Channel, User
from hub.errors import HubError
from hub.storage import store
from publishing.index import builds
from publishing.models import SubdirIndex
from publishing.relations import relations
from tests.browsing import page
from tests.builders import make_artifact, make_channel
from tests.pages import signed_in, text
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
PATH = "channels/demo/relations"
PAGE = "/channels/demo/settings/relations"


@pytest.fixture
def forge(olga: User) -> Channel:
    return make_channel("forge", owner=olga, is_private=False)


def change(user: User, channel: Channel, **names: str) -> None:
    relations.change(actor=Actor(user=user), channel=channel, **names)


def listed(channel: Channel) -> dict[str, Any]:
    """Build the index, and return the relations that repodata.json and the shard index both state."""
    builds.build_until_current(SubdirIndex.objects.get(channel=channel, subdir="noarch").pk)

    def read(name: str) -> bytes:
        return b"".join(store().open(f"{channel}/noarch/{name}"))

    plain = json.loads(read("repodata.json"))["info"].get("channel_relations", {})
    shards = msgpack.unpackb(zstandard.decompress(read("repodata_shards.msgpack.zst")))["info"]
    assert shards.get("channel_relations", {}) == plain
    assert isinstance(plain, dict)
    return plain


def test_relations_are_listed_by_repodata_and_by_the_shard_index(channel: Channel, forge: Channel, olga: User) -> None:
    make_artifact(channel)
    assert listed(channel) == {}
    change(olga, channel, base="forge")
    assert listed(channel) == {"base": "../forge"}
    change(olga, channel, overrides="forge")
    assert listed(channel) == {"overrides": "../forge"}
    change(olga, channel)
    assert listed(channel) == {}
    details = AuditEvent.objects.filter(action=Action.RELATION_CHANGE).order_by("pk").values_list("detail", flat=True)
    assert [detail["base"] for detail in details[:2]] == [{"from": "", "to": "forge"}, {"from": "forge", "to": ""}]


def test_change_without_a_difference_requests_no_build(channel: Channel, forge: Channel, olga: User) -> None:
    make_artifact(channel)
    change(olga, channel, base="forge")
    before = SubdirIndex.objects.get(channel=channel, subdir="noarch").requested_revision
    change(olga, channel, base="forge")
    assert SubdirIndex.objects.get(channel=channel, subdir="noarch").requested_revision == before


@pytest.mark.parametrize(
    "names",
    [
        {"base": "demo"},
        {"overrides": "demo"},
        {"base": "forge", "overrides": "forge"},
        {"base": "below"},
    ],
)
def test_relation_that_clients_could_not_follow_is_refused(
    channel: Channel, forge: Channel, olga: User, names: dict[str, str]
) -> None:
    change(olga, make_channel("below", owner=olga), base="demo")
    with pytest.raises(HubError) as refused:
        change(olga, channel, **names)
    assert (refused.value.status, refused.value.code) == (422, "bad_relation")
    assert relations.of(channel).pk is None


def test_private_base_of_a_public_channel_is_refused(channel: Channel, forge: Channel, olga: User) -> None:
    with pytest.raises(HubError) as refused:
        change(olga, forge, base="demo")
    assert refused.value.code == "bad_relation"
    assert "private" in refused.value.detail


def test_hidden_and_missing_channels_are_refused_alike(channel: Channel, olga: User, sam: User) -> None:
    make_channel("secret", owner=sam)
    answers = [by_session(olga).put(PATH, {"base": name, "overrides": None}) for name in ("secret", "absent")]
    assert code(answers[0]) == code(answers[1])
    assert answers[0].json()["detail"].replace("secret", "absent") == answers[1].json()["detail"]


def test_base_that_becomes_private_or_is_deleted_is_no_longer_listed(forge: Channel, olga: User) -> None:
    public = make_channel("tools", owner=olga, is_private=False)
    make_artifact(public)
    change(olga, public, base="forge")
    for gone, back in (
        ({"is_private": True}, {"is_private": False}),
        ({"deleted_at": timezone.now()}, {"deleted_at": None}),
    ):
        Channel.objects.filter(pk=forge.pk).update(**gone)
        relations.refresh_all()
        assert listed(public) == {}
        assert "lists no related channel now" in page(signed_in(olga), "/channels/tools/settings/relations")
        Channel.objects.filter(pk=forge.pk).update(**back)
        relations.refresh_all()
        assert listed(public) == {"base": "../forge"}


def test_relations_of_others_do_not_prevent_ones_own(channel: Channel, forge: Channel, olga: User, sam: User) -> None:
    """Sam's channel orders the two otherwise; clients of `demo` never load it, and its own list ends."""
    make_channel("mirror", owner=sam, is_private=False)
    Channel.objects.filter(pk=channel.pk).update(is_private=False)
    sams = make_channel("sams", owner=sam, is_private=False)
    make_artifact(sams)
    change(sam, sams, base="demo", overrides="forge")
    change(olga, channel, base="forge")
    relations.refresh_all()
    assert listed(sams) == {}
    assert relations.of(channel).listed == {"base": "../forge"}


def test_rest_api_reads_and_changes_relations(channel: Channel, forge: Channel, olga: User) -> None:
    caller = by_session(olga)
    assert caller.get(PATH).json() == {"base": None, "overrides": None, "listed": {}}
    etag = caller.get(PATH).headers["ETag"]
    changed = caller.put(PATH, {"base": "forge", "overrides": None}, **{"If-Match": etag})
    assert changed.json() == {"base": "forge", "overrides": None, "listed": {"base": "../forge"}}
    again = caller.put(PATH, {"base": None, "overrides": None}, **{"If-Match": etag})
    assert code(again) == (412, "changed_meanwhile")
    assert by_key(olga, "read", "manage").get(PATH).json() == changed.json()
    assert by_key(olga, "read", "manage").put(PATH, {"base": None, "overrides": None}).status_code == 403


def test_page_saves_relations_and_shows_the_order(channel: Channel, forge: Channel, olga: User) -> None:
    browser = signed_in(olga)
    assert browser.post(PAGE, {"base": "forge", "overrides": ""}).status_code == 302
    shown = page(browser, PAGE)
    assert shown.index('href="/channels/forge"') < shown.index("<strong>demo</strong>")
    assert "Choose another" in text(browser.post(PAGE, {"base": "demo", "overrides": ""}))
    assert relations.of(channel).base == forge
