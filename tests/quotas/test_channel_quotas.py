"""Quotas of channels: uploads over them, running uploads, the warning at 80 %, and changes by administrators."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.access.permissions import Actor
from channels_app.audit import descriptions, notifications
from channels_app.channels import storage
from channels_app.models import Artifact, AuditEvent, Channel, Package, Role, User
from channels_app.quotas import channel_quotas, quotas
from hub.errors import HubError
from hub.storage import StoreError, store
from publishing import housekeeping
from publishing.models import Reservation
from publishing.uploads.upload import publish
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_key, make_member, make_user, received
from tests.pages import signed_in
from tests.quotas.test_quotas import code_of, upload
from tests.rest.calls import by_session, code
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


def limit(channel: Channel, quota_bytes: int | None) -> None:
    Channel.objects.filter(pk=channel.pk).update(quota_bytes=quota_bytes)
    channel.refresh_from_db()


@pytest.fixture
def root() -> User:
    return make_user("root", is_superuser=True, is_staff=True)


def test_upload_over_the_quota_is_refused_with_the_figures(channel: Channel, olga: User, tmp_path: Path) -> None:
    limit(channel, 6000)
    make_artifact(channel, "old", size_bytes=5800)
    with pytest.raises(HubError) as refusal:
        upload(channel, olga, tmp_path)
    assert (refusal.value.status, refusal.value.code) == (413, "channel_quota")
    assert "holds 5.7 KiB, and 8" in refusal.value.detail
    assert "B would be added; 5.9 KiB are allowed." in refusal.value.detail
    assert not Reservation.objects.exists()
    assert list(store().list("demo/")) == []


def test_quota_of_one_channel_does_not_concern_others(channel: Channel, olga: User, tmp_path: Path) -> None:
    limit(channel, 1)
    assert code_of(lambda: upload(channel, olga, tmp_path)) == "channel_quota"
    upload(make_channel("other", owner=olga), olga, tmp_path)


@pytest.mark.parametrize(("own", "is_refused"), [(None, True), (0, False), (10**6, False), (1, True)])
def test_own_quota_comes_before_the_default(
    own: int | None, is_refused: bool, channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    settings.HUB_CHANNEL_BYTES = 100
    limit(channel, own)
    if is_refused:
        assert code_of(lambda: upload(channel, olga, tmp_path)) == "channel_quota"
    else:
        upload(channel, olga, tmp_path)


def test_full_channel_refuses_before_the_transfer(channel: Channel, olga: User) -> None:
    limit(channel, 1000)
    make_artifact(channel, "old", size_bytes=1000)
    key = make_key(olga)
    answer = Client().post("/api/v1/upload/demo", b"x", "application/octet-stream", headers={"X-API-Key": key})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (413, "channel_quota")
    assert code_of(lambda: quotas.check_room(channel, 0)) == "channel_quota"


def test_smaller_replacement_is_accepted_by_a_full_channel(channel: Channel, olga: User, tmp_path: Path) -> None:
    limit(channel, 10**6)
    Channel.objects.update(allow_overwrite=True)
    before = upload(channel, olga, tmp_path, files={"share/large": bytes(range(256)) * 50})
    limit(channel, 1)
    smaller = received(make_conda(tmp_path, files={"share/small": b"x"}))
    after = publish(actor=Actor(user=olga), channel=channel, received=smaller, force=True).artifact
    assert after.size_bytes < before.size_bytes


def test_running_uploads_count_until_they_end_or_expire(channel: Channel, olga: User, tmp_path: Path) -> None:
    limit(channel, 10**6)
    place = {"channel": channel, "subdir": "noarch", "sha256": "0", "token": "0"}
    soon = timezone.now() + timedelta(minutes=1)
    running = Reservation.objects.create(**place, file_name="a-1-0.conda", expires_at=soon, more_bytes=10**6)
    assert code_of(lambda: upload(channel, olga, tmp_path)) == "channel_quota"
    Reservation.objects.filter(pk=running.pk).update(expires_at=timezone.now())
    upload(channel, olga, tmp_path)


def test_failed_upload_leaves_no_bytes_behind(
    channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit(channel, 10**6)

    def fail(*_: object) -> None:
        raise StoreError("full")

    with monkeypatch.context() as patch:
        patch.setattr("publishing.uploads.upload.put", fail)
        with pytest.raises(StoreError):
            upload(channel, olga, tmp_path)
    assert not Reservation.objects.exists()
    assert channel_quotas.usage(channel).stored_bytes == 0


@pytest.mark.django_db(transaction=True)
def test_uploads_at_once_do_not_pass_the_channels_quota(tmp_path: Path) -> None:
    olga = make_user("olga")
    channel = make_channel("demo", owner=olga)
    packages = [received(make_conda(tmp_path, name=f"package-{number}")) for number in range(6)]
    limit(channel, 3 * max(package.size_bytes for package in packages))
    with shared_database(tmp_path):
        acts = [partial(publish, actor=Actor(user=olga), channel=channel, received=each) for each in packages]
        done = at_once(*acts)
        assert done.count("channel_quota") == 3
        [fits] = at_once(lambda: channel_quotas.usage(channel).percent <= 100 and Artifact.objects.count() == 3)
        assert fits


def test_channel_without_a_quota_costs_no_query(
    channel: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0):
        channel_quotas.check_room(channel, 100)
        channel_quotas.lock(channel)
        channel_quotas.check_reserved(channel, 100)


def test_owners_are_warned_once_until_there_is_room_again(channel: Channel, olga: User) -> None:
    limit(channel, 1000)
    artifact = make_artifact(channel, size_bytes=799)
    User.objects.update(email="olga@example.org")
    warned = AuditEvent.objects.filter(action="channel.nearly_full")
    storage.warn()
    assert not warned.exists()
    make_artifact(channel, version="2.0", size_bytes=1)
    housekeeping.remove_leftovers()
    storage.warn()
    [event] = warned
    assert event.detail == {"by": "The hub", "stored_bytes": 800, "limit_bytes": 1000}
    assert descriptions.entry(event, channel).notes == ["800 B of 1000 B"]
    assert notifications.recipients(event.pk) == [olga.pk]
    notifications.send(event.pk, olga.pk)
    artifact.delete()
    Package.objects.update(size_bytes=1)
    storage.warn()
    Package.objects.update(size_bytes=900)
    storage.warn()
    assert warned.all().count() == 2


def test_page_warns_maintainers_of_a_nearly_full_channel(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    limit(channel, 1000)
    make_artifact(channel, size_bytes=830)
    sentence = "83 % of the storage are used."
    assert sentence in signed_in(olga).get("/channels/demo").content.decode()
    assert sentence not in signed_in(max_).get("/channels/demo").content.decode()
    assert "83 %" in signed_in(olga).get("/channels/demo/settings").content.decode()
    limit(channel, 2000)
    assert "storage are used" not in signed_in(olga).get("/channels/demo").content.decode()


def test_administrator_sets_the_quota_by_the_api(channel: Channel, olga: User, root: User) -> None:
    make_artifact(channel, size_bytes=500)
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    answer = by_session(root).put("channels/demo/quota", {"quota_bytes": 1000})
    state = {"size_bytes": 500, "limit_bytes": 1000, "quota_bytes": 1000, "is_nearly_full": False}
    assert answer.json() == state == by_session(olga).get("channels/demo/quota").json()
    [event] = AuditEvent.objects.filter(action="channel.quota")
    assert (event.actor, event.channel) == (root, channel)
    assert event.detail == {"quota_bytes": {"from": None, "to": 1000}}
    assert descriptions.entry(event, channel).notes == ["Storage quota: the hub's default → 1000 B"]
    assert notifications.recipients(event.pk) == [olga.pk]
    notifications.send(event.pk, olga.pk)


def test_owner_may_not_set_the_quota(channel: Channel, olga: User) -> None:
    assert code(by_session(olga).put("channels/demo/quota", {"quota_bytes": 0})) == (403, "administrators_only")
    assert not AuditEvent.objects.filter(action="channel.quota").exists()


@pytest.mark.parametrize("wrong", [-1, 2**63, "much"])
def test_wrong_quota_is_refused(wrong: object, channel: Channel, root: User) -> None:
    assert by_session(root).put("channels/demo/quota", {"quota_bytes": wrong}).status_code == 422


def test_administration_sorts_channels_by_size_and_sets_quotas(channel: Channel, root: User) -> None:
    make_artifact(channel, size_bytes=5)
    make_artifact(make_channel("large"), size_bytes=2048)
    browser = signed_in(root)
    shown = browser.get("/admin/channels_app/channel/?o=-3").content.decode()
    assert 0 < shown.index("2 KiB") < shown.index("5 B")
    form = {"description": "", "allow_revision_3": "on", "is_private": "on", "quota_bytes": "1000"}
    assert browser.post(f"/admin/channels_app/channel/{channel.pk}/change/", form).status_code == 302
    channel.refresh_from_db()
    assert channel.quota_bytes == 1000
    assert AuditEvent.objects.get(action__startswith="channel.").action == "channel.quota"
