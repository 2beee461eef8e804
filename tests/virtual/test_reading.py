"""Files of virtual channels: the member's bytes, for those who may read every member."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import ANONYMOUS, Actor, page_channel, visible_channels
from channels_app.authentication import decision_cache
from channels_app.models import AccessRevision, Artifact, Channel, Member, User
from channels_app.packages import download_counts
from channels_app.templatetags.ui import pill, visibility
from hub.storage import store
from publishing import housekeeping
from publishing.index import builds
from tests.builders import make_artifact, make_channel, make_key, make_label, make_member, make_notice, make_robot
from tests.virtual.channels import build_all, make_virtual, set_members, shards

pytestmark = pytest.mark.django_db(transaction=True)
FILE = "/all/noarch/tool-1.0-acme.conda"
HOLDS_NAMES = ("/all/noarch/repodata.json", "/all/noarch/run_exports.json", "/all/noarch/current_repodata.json")
PRIVATE = ("/all/noarch/repodata.json", "/all/noarch/repodata_shards.msgpack.zst", "/all/notices.json", FILE)


@pytest.fixture(autouse=True)
def revision_row() -> Iterator[None]:
    """Create the row, which is lost when tables are emptied between tests, and clear the cache."""
    decision_cache.clear()
    AccessRevision.objects.get_or_create(pk=1)
    yield
    decision_cache.clear()


@pytest.fixture
def acme(olga: User) -> Channel:
    channel = make_channel("acme", owner=olga, is_private=False)
    make_artifact(channel, "tool", build="acme", attestations_sha256="1" * 64)
    store().put("acme/noarch/tool-1.0-acme.conda", b"acme" * 250)
    store().put(f"acme/noarch/tool-1.0-acme.conda.sigs.{'1' * 64}", b"[]")
    return channel


@pytest.fixture
def forge(olga: User) -> Channel:
    channel = make_channel("forge", owner=olga, is_private=False)
    for name in ("tool", "zlib"):
        make_artifact(channel, name, build="forge")
        store().put(f"forge/noarch/{name}-1.0-forge.conda", b"forge" * 200)
    return channel


@pytest.fixture
def virtual(olga: User, acme: Channel, forge: Channel) -> Channel:
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    return channel


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def hide(channel: Channel) -> None:
    Channel.objects.filter(pk=channel.pk).update(is_private=True)


def test_package_and_sidecar_are_those_of_the_member(client: Client, virtual: Channel) -> None:
    answer = client.get(FILE)
    assert (answer.status_code, b"".join(answer)) == (200, b"acme" * 250)
    assert answer.headers["Cache-Control"].startswith("public")
    assert client.get(f"{FILE}.sigs").status_code == 200
    assert b"".join(client.get("/all/noarch/zlib-1.0-forge.conda")) == b"forge" * 200


def test_download_counts_for_the_artifact_of_the_member(client: Client, virtual: Channel) -> None:
    client.get(FILE)
    download_counts.write()
    assert Artifact.objects.get(build="acme").download_count == 1


def test_file_of_a_name_that_another_member_brings_is_not_found(client: Client, virtual: Channel) -> None:
    assert client.get("/forge/noarch/tool-1.0-forge.conda").status_code == 200
    assert client.get("/all/noarch/tool-1.0-forge.conda").status_code == 404


def test_shards_are_the_members_bytes_and_only_those_of_listed_names(client: Client, virtual: Channel) -> None:
    for name, sha256 in shards("all").items():
        member = "acme" if name == "tool" else "forge"
        path = f"noarch/shards/{sha256}.msgpack.zst"
        assert b"".join(client.get(f"/all/{path}")) == b"".join(client.get(f"/{member}/{path}"))
    hidden = shards("forge")["tool"]
    assert client.get(f"/forge/noarch/shards/{hidden}.msgpack.zst").status_code == 200
    assert client.get(f"/all/noarch/shards/{hidden}.msgpack.zst").status_code == 404


def test_shard_is_served_for_a_while_after_its_name_changed(client: Client, virtual: Channel, acme: Channel) -> None:
    before = shards("all")["tool"]
    make_artifact(acme, "tool", "2.0")
    build_all()
    assert shards("all")["tool"] != before
    assert client.get(f"/all/noarch/shards/{before}.msgpack.zst").status_code == 200


def test_file_without_the_label_of_the_member_is_not_found(client: Client, olga: User, acme: Channel) -> None:
    make_artifact(acme, "tool", "2.0", "acme")
    Artifact.objects.get(version="1.0", build="acme").labels.add(make_label(acme, "dev"))
    builds.schedule_label_builds(acme, "noarch", {"dev": ["tool"]})
    make_virtual(olga, "acme/label/dev")
    build_all()
    assert client.get(FILE).status_code == 200
    assert client.get("/all/noarch/tool-2.0-acme.conda").status_code == 404


def test_deleted_member_serves_no_file_at_once(client: Client, virtual: Channel, acme: Channel) -> None:
    shard = f"/all/noarch/shards/{shards('all')['tool']}.msgpack.zst"
    assert [client.get(path).status_code for path in (FILE, shard)] == [200, 200]
    Channel.objects.filter(pk=acme.pk).update(deleted_at=timezone.now())
    assert [client.get(path).status_code for path in (FILE, shard)] == [404, 404]


def test_current_repodata_is_repodata(client: Client, virtual: Channel) -> None:
    current, whole = (b"".join(client.get(f"/all/noarch/{name}repodata.json")) for name in ("current_", ""))
    assert current == whole != b""


def test_labels_of_a_virtual_channel_do_not_exist(client: Client, virtual: Channel) -> None:
    for path in ("repodata.json", "tool-1.0-acme.conda", f"shards/{'0' * 64}.msgpack.zst"):
        assert client.get(f"/all/label/dev/noarch/{path}").status_code == 404


@pytest.mark.parametrize("path", PRIVATE)
def test_private_member_hides_everything_from_those_who_may_not_read_it(
    client: Client, virtual: Channel, acme: Channel, sam: User, path: str
) -> None:
    key = make_key(sam)
    make_member(virtual, sam)
    assert client.get(path).status_code == 200
    assert client.get(path, headers=bearer(key)).status_code == 200
    hide(acme)
    assert client.get(path).status_code == 401
    answer = client.get(path, headers=bearer(key))
    missing = client.get(path.replace("/all/", "/nil/"), headers=bearer(key))
    assert (answer.status_code, answer.content.replace(b"all", b"nil")) == (403, missing.content)
    make_member(acme, sam)
    allowed = client.get(path, headers=bearer(key))
    assert (allowed.status_code, allowed.headers["Cache-Control"].partition(",")[0]) == (200, "private")
    assert "Access-Control-Allow-Origin" not in allowed.headers
    Member.objects.filter(channel=acme, user=sam).delete()
    assert client.get(path, headers=bearer(key)).status_code == 403


@pytest.mark.parametrize("path", HOLDS_NAMES)
def test_removed_private_member_leaves_no_names_in_files(
    client: Client, olga: User, virtual: Channel, acme: Channel, path: str
) -> None:
    hide(acme)
    set_members(olga, virtual, "forge")
    assert b"acme" not in b"".join(client.get(path))
    build_all()
    assert b"forge" in b"".join(client.get(path))
    assert b"acme" not in b"".join(client.get(path))


def test_shard_of_a_removed_member_is_not_found_at_once(client: Client, olga: User, virtual: Channel) -> None:
    shard = f"/all/noarch/shards/{shards('all')['tool']}.msgpack.zst"
    set_members(olga, virtual, "forge")
    assert client.get(shard).status_code == 404
    build_all()
    assert client.get(shard).status_code == 404


@pytest.mark.parametrize("path", HOLDS_NAMES)
def test_deleted_private_member_hides_everything_until_it_is_purged(
    client: Client, olga: User, virtual: Channel, acme: Channel, path: str
) -> None:
    hide(acme)
    Channel.objects.filter(pk=acme.pk).update(deleted_at=timezone.now() - timedelta(days=400))
    assert client.get(path).status_code == 401
    assert client.get(path, headers=bearer(make_key(olga))).status_code == 200
    assert virtual not in visible_channels(ANONYMOUS)
    assert virtual in visible_channels(Actor(user=olga))
    housekeeping.remove_leftovers()
    assert b"acme" not in b"".join(client.get(path))
    build_all()
    assert b"forge" in b"".join(client.get(path))
    assert b"acme" not in b"".join(client.get(path))


def test_package_is_never_immutable_because_its_name_can_move(client: Client, virtual: Channel, acme: Channel) -> None:
    path = "/all/noarch/zlib-1.0-forge.conda"
    assert client.get(path).headers["Cache-Control"] == "public, no-cache, max-age=0"
    make_artifact(acme, "zlib", build="forge")
    store().put("acme/noarch/zlib-1.0-forge.conda", b"acme" * 250)
    build_all()
    assert b"".join(client.get(path)) == b"acme" * 250


def test_notices_of_a_gone_member_without_names_are_not_listed(client: Client, olga: User, forge: Channel) -> None:
    for name in ("deleted", "purged"):
        make_notice(make_channel(name, owner=olga, is_private=False), message=f"Of {name}.")
    make_virtual(olga, "forge", "deleted", "purged")
    build_all()
    assert b"Of deleted." in b"".join(client.get("/all/notices.json"))
    Channel.objects.filter(name="deleted").update(deleted_at=timezone.now())
    Channel.objects.filter(name="purged").update(deleted_at=timezone.now() - timedelta(days=400))
    housekeeping.remove_leftovers()
    build_all()
    assert b"Of " not in b"".join(client.get("/all/notices.json"))


def test_new_private_member_ends_cached_decisions(client: Client, olga: User, virtual: Channel) -> None:
    assert client.get(FILE).status_code == 200
    make_channel("secret", owner=olga)
    set_members(olga, virtual, "acme", "forge", "secret")
    assert client.get(FILE).status_code == 401


def test_key_without_the_private_member_gets_403(client: Client, olga: User, virtual: Channel, acme: Channel) -> None:
    hide(acme)
    assert client.get(FILE, headers=bearer(make_key(olga, channels=[virtual]))).status_code == 403
    assert client.get(FILE, headers=bearer(make_key(olga, channels=[virtual, acme]))).status_code == 200
    assert client.get(FILE, headers=bearer(make_robot(virtual, olga))).status_code == 403


def test_virtual_channel_is_visible_to_readers_of_every_member(virtual: Channel, acme: Channel, sam: User) -> None:
    assert {"all", "acme", "forge"} <= {channel.name for channel in visible_channels(ANONYMOUS)}
    hide(acme)
    make_member(virtual, sam)
    assert virtual not in visible_channels(ANONYMOUS)
    assert virtual not in visible_channels(Actor(user=sam))
    make_member(acme, sam)
    assert virtual in visible_channels(Actor(user=sam))


def test_page_says_private_while_a_member_is_private(virtual: Channel, acme: Channel, olga: User) -> None:
    assert visibility(page_channel(Actor(user=olga), "all")) == pill("public")
    hide(acme)
    assert visibility(page_channel(Actor(user=olga), "all")) == pill("private")


def test_virtual_downloads_cost_two_queries_and_others_one(
    client: Client, virtual: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for path, queries in ((FILE, 2), ("/acme/noarch/tool-1.0-acme.conda", 1), ("/all/noarch/repodata.json", 1)):
        client.get(path)
        with django_assert_num_queries(queries):
            client.get(path)


def test_notices_of_members_are_listed(client: Client, olga: User, virtual: Channel, acme: Channel) -> None:
    make_notice(acme, message="Numpy moves.")
    builds.schedule_build(acme, builds.WHOLE_CHANNEL, [])
    build_all()
    assert b"Numpy moves." in b"".join(client.get("/all/notices.json"))


def test_summary_has_names_of_the_member_that_brings_them(client: Client, virtual: Channel) -> None:
    found = client.get("/all/channeldata.json")
    assert sorted(json.loads(b"".join(found))["packages"]) == ["tool", "zlib"]
