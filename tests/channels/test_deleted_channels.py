"""Tests of deleted channels: the grace period, the purge of bytes and rows, and the reuse of the name."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.channels import channels, queries
from channels_app.models import Artifact, AuditEvent, Channel, Member, Package, ReservedName, Role, User
from hub.errors import HubError
from hub.locks import try_lock
from hub.storage import store
from publishing import housekeeping
from publishing.index import builds
from publishing.models import SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_key, make_member, received

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(channel: Channel, olga: User, tmp_path: Path) -> Channel:
    """Return `channel`, deleted, with a package and its index."""
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(make_conda(tmp_path)))
    for each in SubdirIndex.objects.all():
        builds.build_until_current(each.pk)
    return channels.delete(actor=Actor(user=olga), channel=channel)


def age(channel: Channel, hours: int) -> None:
    Channel.objects.filter(pk=channel.pk).update(deleted_at=timezone.now() - timedelta(hours=hours))


def stored(folder: str = "demo") -> list[str]:
    return sorted(store().list(f"{folder}/"))


def test_deleted_channel_within_the_grace_time_keeps_its_data(published: Channel, olga: User) -> None:
    before = stored()
    age(published, 23)
    housekeeping.remove_leftovers()
    assert "demo/noarch/demo-1.0-0.conda" in before
    assert stored() == before
    channels.restore(actor=Actor(user=olga), channel=published)
    assert Artifact.objects.count() == 1


def test_deleted_channel_after_the_grace_time_keeps_only_its_name(published: Channel, olga: User) -> None:
    make_channel("demo-2")
    store().put("demo-2/noarch/repodata.json", b"{}")
    make_key(olga, channels=[published])
    age(published, 25)
    housekeeping.remove_leftovers()
    assert stored() == []
    assert stored("demo-2") == ["demo-2/noarch/repodata.json"]
    assert list(Channel.objects.values_list("name", flat=True)) == ["demo-2"]
    assert [model.objects.count() for model in (Package, Artifact, SubdirIndex)] == [0, 0, 0]
    assert not olga.keys.get().all_channels
    assert AuditEvent.objects.get(action="channel.purge").target == "demo"
    assert AuditEvent.objects.filter(action="artifact.publish").exists()
    assert list(ReservedName.objects.get(name="demo").owners.all()) == [olga]


def test_the_name_is_taken_until_then(published: Channel, sam: User) -> None:
    with pytest.raises(HubError, match="There is a channel 'demo' already"):
        channels.create(name="demo", owner=sam, is_private=True)


def test_restore_after_the_grace_time_is_refused(published: Channel, olga: User) -> None:
    age(published, 25)
    with pytest.raises(HubError, match="'demo' can't be restored: the time for that is over"):
        channels.restore(actor=Actor(user=olga), channel=published)
    assert not queries.deleted_channels(Actor(user=olga)).exists()


def test_a_restore_that_came_before_the_purge_keeps_everything(published: Channel) -> None:
    age(published, 25)
    stale = Channel.objects.get()
    Channel.objects.update(deleted_at=None)
    assert not housekeeping._is_past_restoring(stale)


def test_a_channel_that_is_being_indexed_waits_for_the_next_time(published: Channel) -> None:
    age(published, 25)
    with try_lock(f"index-{SubdirIndex.objects.get(subdir='noarch').pk}"):
        if _is_locked_here():
            housekeeping.remove_leftovers()
            assert stored() != []
    housekeeping.remove_leftovers()
    assert stored() == []


def _is_locked_here() -> bool:
    """Tell whether a second attempt in this test fails. PostgreSQL's session could take its own lock again."""
    with try_lock("index-0") as first, try_lock("index-0") as second:
        return first and not second


def test_owners_see_deleted_channels_with_their_purge_time(
    published: Channel, olga: User, max_: User, sam: User, admin_user: User
) -> None:
    Member.objects.create(channel=published, user=max_, role=Role.MAINTAINER)
    (found,) = queries.deleted_channels(Actor(user=olga))
    assert published.deleted_at is not None
    assert (found, vars(found)["purge_at"]) == (published, published.deleted_at + timedelta(hours=24))
    assert queries.deleted_channels(Actor(user=admin_user)).exists()
    make_key(olga)
    for nobody in (Actor(), Actor(user=max_), Actor(user=sam), Actor(user=olga, key=olga.keys.get())):
        assert not queries.deleted_channels(nobody).exists()


def test_only_owners_delete_transfer_and_restore(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    by_max = Actor(user=max_)
    with pytest.raises(HubError, match="not own there"):
        channels.delete(actor=by_max, channel=channel)
    with pytest.raises(HubError, match="not own there"):
        channels.transfer(actor=by_max, channel=channel, username="max")
    channels.delete(actor=Actor(user=olga), channel=channel)
    with pytest.raises(HubError, match="not own there"):
        channels.restore(actor=by_max, channel=channel)
    assert Channel.objects.get().deleted_at is not None


def test_a_key_deletes_no_channel(channel: Channel, olga: User) -> None:
    make_key(olga, scopes=("read", "manage", "delete", "upload"))
    with pytest.raises(HubError, match="Sign in as an owner"):
        channels.delete(actor=Actor(user=olga, key=olga.keys.get()), channel=channel)
