"""Tests of quotas: bytes in the channels of a user, and packages per day."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.access.permissions import Actor
from channels_app.channels import channels
from channels_app.models import Artifact, Channel, Role, Usage, User
from channels_app.people import handing_over, members
from channels_app.quotas import quotas
from hub.errors import HubError
from hub.sizes import MIB
from hub.storage import StoreError, store
from publishing import housekeeping
from publishing.models import Reservation
from publishing.protocols import prefix
from publishing.removal import removal
from publishing.uploads.upload import publish
from tests.archives import make_conda
from tests.builders import (
    make_artifact,
    make_channel,
    make_key,
    make_member,
    make_publisher,
    make_short_lived_token,
    make_user,
    received,
)
from tests.pages import signed_in
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quota(settings: Settings) -> None:
    settings.HUB_USER_BYTES, settings.HUB_USER_PACKAGES_A_DAY = 10 * MIB, 100


def full_of(channel: Channel, size_bytes: int, **fields: Any) -> Artifact:
    return make_artifact(channel, "old", size_bytes=size_bytes, **fields)


def upload(channel: Channel, user: User, folder: Path, **options: Any) -> Artifact:
    package = make_conda(folder, **options)
    return publish(actor=Actor(user=user), channel=channel, received=received(package)).artifact


def code_of(act: Any) -> str:
    with pytest.raises(HubError) as refusal:
        act()
    assert refusal.value.status == 413  # at 429 and 507 clients send the whole package again
    return refusal.value.code


def test_upload_within_the_quota_is_counted(channel: Channel, olga: User, tmp_path: Path) -> None:
    full_of(channel, 5000)
    artifact = upload(channel, olga, tmp_path)
    usage = Usage.objects.get()
    assert (usage.user, usage.stored_bytes, usage.day_packages) == (olga, 5000 + artifact.size_bytes, 1)


def test_refusal_names_usage_and_remedy(channel: Channel, olga: User, tmp_path: Path) -> None:
    full_of(channel, 10 * MIB)
    with pytest.raises(HubError) as refusal:
        upload(channel, olga, tmp_path)
    assert (refusal.value.status, refusal.value.code) == (413, "quota_bytes")
    assert refusal.value.detail.startswith("The channels of olga hold 10 MiB, and this package has ")
    assert refusal.value.detail.endswith("; 10 MiB are allowed. Delete packages, or ask an administrator for more.")
    assert channel.artifacts.count() == 1


class Unread(BytesIO):
    """A body that fails the test if it is read."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")


@pytest.mark.parametrize("content_type", ["application/octet-stream", "multipart/form-data; boundary=x"])
def test_refusal_comes_before_the_body_is_read(channel: Channel, olga: User, content_type: str) -> None:
    full_of(channel, 9 * MIB)
    request = RequestFactory().post(
        "/api/v1/upload/demo", content_type=content_type, HTTP_AUTHORIZATION=f"Bearer {make_key(olga)}"
    )
    request.META |= {"wsgi.input": Unread(), "CONTENT_LENGTH": str(2 * MIB)}
    request.user = AnonymousUser()
    assert code_of(partial(prefix.upload, request, channel="demo")) == "quota_bytes"


def test_client_reads_the_refusal(client: Client, channel: Channel, olga: User) -> None:
    full_of(channel, 10 * MIB)
    answer = client.post(
        "/api/v1/upload/demo",
        b"x" * 100,
        "application/octet-stream",
        headers={"Authorization": f"Bearer {make_key(olga)}"},
    )
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (413, "quota_bytes")
    page = signed_in(olga).post("/channels/demo/settings/upload", {}, headers={"Accept": "application/json"})
    assert page.status_code == 413
    assert "10 MiB are allowed" in page.json()["error"]


def test_upload_beyond_the_daily_packages_gets_413(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    settings.HUB_USER_PACKAGES_A_DAY = 2
    for number in range(2):
        upload(channel, olga, tmp_path, name=f"package-{number}")
    with pytest.raises(HubError) as refusal:
        upload(channel, olga, tmp_path, name="package-3")
    assert (refusal.value.status, refusal.value.code) == (413, "quota_packages")
    assert refusal.value.detail == (
        "2 packages uploaded to the channels of olga today (UTC); 2 a day are allowed. "
        "Continue tomorrow, or ask an administrator for more."
    )
    assert 0 < int(refusal.value.headers["Retry-After"]) <= 86400
    Usage.objects.update(day=timezone.now().date() - timedelta(days=1))
    upload(channel, olga, tmp_path, name="package-3")
    assert Usage.objects.get().day_packages == 1


def test_upload_by_any_member_is_charged_to_the_first_owner(
    channel: Channel, olga: User, max_: User, sam: User, tmp_path: Path
) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    make_member(channel, sam, Role.OWNER)
    upload(channel, max_, tmp_path)
    key, _ = make_short_lived_token(make_publisher(channel, created_by=sam))
    publish(actor=Actor(key=key), channel=channel, received=received(make_conda(tmp_path, name="by-ci")))
    assert [usage.user for usage in Usage.objects.all()] == [olga]


def test_quota_of_one_user_is_not_anothers(channel: Channel, olga: User, sam: User, tmp_path: Path) -> None:
    full_of(channel, 10 * MIB)
    theirs = make_channel("theirs", owner=sam)
    make_member(theirs, olga, Role.OWNER)
    upload(theirs, olga, tmp_path)


def test_all_channels_of_a_user_count_together(channel: Channel, olga: User, tmp_path: Path) -> None:
    full_of(make_channel("other", owner=olga), 6 * MIB)
    full_of(make_channel("gone", owner=olga, deleted_at=timezone.now()), 4 * MIB)
    assert code_of(lambda: upload(channel, olga, tmp_path)) == "quota_bytes"


def test_transfer_moves_the_charged_bytes(channel: Channel, olga: User, sam: User, tmp_path: Path) -> None:
    full_of(channel, 10 * MIB)
    other = make_channel("other", owner=olga)
    assert code_of(lambda: upload(other, olga, tmp_path)) == "quota_bytes"
    make_member(channel, sam, Role.OWNER)
    channels.transfer(actor=Actor(user=olga), channel=channel, username="sam")
    upload(other, olga, tmp_path)
    theirs = make_channel("theirs", owner=sam)
    assert code_of(lambda: upload(theirs, sam, tmp_path)) == "quota_bytes"


def test_account_that_is_handed_over_ceases_to_pay(channel: Channel, olga: User, sam: User, tmp_path: Path) -> None:
    full_of(channel, 10 * MIB)
    upload(make_channel("theirs", owner=sam), sam, tmp_path)
    handing_over.hand_over(by=None, user=olga, username="sam", deactivate=False)
    assert code_of(lambda: upload(channel, sam, tmp_path)) == "quota_bytes"


def test_leaving_owner_ceases_to_pay(channel: Channel, olga: User, sam: User, tmp_path: Path) -> None:
    full_of(channel, 10 * MIB)
    other = make_channel("other", owner=olga)
    make_member(channel, sam, Role.OWNER)
    assert code_of(lambda: upload(other, olga, tmp_path)) == "quota_bytes"
    members.leave(actor=Actor(user=olga), channel=channel)
    upload(other, olga, tmp_path)
    assert code_of(lambda: upload(channel, sam, tmp_path)) == "quota_bytes"


def test_transfer_to_a_user_without_quota_is_refused(
    channel: Channel, olga: User, sam: User, settings: Settings
) -> None:
    settings.HUB_USER_CHANNELS = 1
    make_channel("theirs", owner=sam)
    make_member(channel, sam, Role.OWNER)
    with pytest.raises(HubError, match=r"sam may have no further channel. They can delete one of theirs first."):
        channels.transfer(actor=Actor(user=olga), channel=channel, username="sam")


def test_bytes_that_went_make_room(channel: Channel, olga: User, tmp_path: Path) -> None:
    old = full_of(channel, 10 * MIB)
    removal.delete(actor=Actor(user=olga), artifact=old, reason="")
    assert code_of(lambda: upload(channel, olga, tmp_path)) == "quota_bytes"
    Artifact.objects.update(removed_at=timezone.now() - timedelta(days=2))
    housekeeping.remove_leftovers()
    upload(channel, olga, tmp_path)


def test_released_name_makes_room(channel: Channel, olga: User, tmp_path: Path) -> None:
    old = full_of(channel, 10 * MIB)
    removal.delete(actor=Actor(user=olga), artifact=old, reason="")
    assert code_of(lambda: upload(channel, olga, tmp_path)) == "quota_bytes"
    removal.release(actor=Actor(user=olga), artifact=old)
    upload(channel, olga, tmp_path)


def test_same_bytes_again_are_not_charged(channel: Channel, olga: User, tmp_path: Path) -> None:
    upload(channel, olga, tmp_path)
    upload(channel, olga, tmp_path)
    assert Usage.objects.get().day_packages == 1


def test_replacing_costs_the_difference(channel: Channel, olga: User, tmp_path: Path) -> None:
    channel.allow_overwrite = True
    channel.save()
    upload(channel, olga, tmp_path)
    other = make_conda(tmp_path, files={"share/other.txt": b"Other bytes, and some more of them."})
    artifact = publish(actor=Actor(user=olga), channel=channel, received=received(other), force=True).artifact
    assert Usage.objects.get().stored_bytes == artifact.size_bytes


def test_refused_overwrite_leaves_the_bytes_that_were_there(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    channel.allow_overwrite = True
    channel.save()
    artifact = upload(channel, olga, tmp_path)
    stored = store().stat(str(artifact))
    settings.HUB_USER_BYTES = artifact.size_bytes + 1000
    (tmp_path / "later").mkdir()
    larger = received(make_conda(tmp_path / "later", files={"junk": os.urandom(5000)}))
    replacing = partial(publish, actor=Actor(user=olga), channel=channel, received=larger, force=True)
    assert code_of(replacing) == "quota_bytes"
    assert store().stat(str(artifact)) == stored


def test_refused_upload_stores_no_file_and_is_not_charged(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(channel, olga, tmp_path)
    before = Usage.objects.values().get()
    settings.HUB_USER_BYTES = before["stored_bytes"] + 1
    assert code_of(lambda: upload(channel, olga, tmp_path, name="second")) == "quota_bytes"
    assert [key for key in store().list("demo/") if "second" in key] == []
    settings.HUB_USER_BYTES = 10 * MIB
    monkeypatch.setattr("publishing.uploads.upload.put", raises(StoreError("The store is full.")))
    with pytest.raises(StoreError):
        upload(channel, olga, tmp_path, name="third")
    monkeypatch.setattr("publishing.uploads.upload.put", lambda _: channel.members.all().delete())
    with pytest.raises(HubError):
        upload(channel, olga, tmp_path, name="fourth")
    assert Usage.objects.values().get() == before
    assert not Reservation.objects.exists()


def test_refund_does_not_reduce_a_later_count(channel: Channel, olga: User) -> None:
    full_of(channel, 5000)
    payer = quotas.payer_of(channel)
    assert payer is not None
    bill = quotas.Bill(payer, 3000)
    quotas.charge(bill)
    assert Usage.objects.get().stored_bytes == 8000
    quotas.mark_outdated(channel)
    time.sleep(0.01)
    quotas.check_room(channel, 0)
    quotas.refund(bill)
    usage = Usage.objects.get()
    assert (usage.stored_bytes, usage.day_packages) == (5000, 0)


def raises(error: Exception) -> Any:
    def run(*_: Any) -> None:
        raise error

    return run


def test_administrators_and_hubs_without_quota(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    full_of(channel, 10 * MIB)
    olga.limits = {"bytes": 0}
    olga.save()
    upload(channel, olga, tmp_path)
    olga.limits = {"bytes": 11 * MIB}
    olga.save()
    upload(channel, olga, tmp_path, name="second")
    root = make_user("root", is_superuser=True)
    roots = make_channel("roots", owner=root)
    full_of(roots, 10 * MIB)
    upload(roots, root, tmp_path)
    settings.HUB_USER_BYTES = settings.HUB_USER_PACKAGES_A_DAY = 0
    olga.limits = None
    olga.save()
    upload(channel, olga, tmp_path, name="third")


def test_counts_are_made_anew_each_day_and_go_with_the_quota(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    upload(channel, olga, tmp_path)
    quotas.delete_old()
    assert Usage.objects.exists()
    a_day_ago = timezone.now() - timedelta(days=1, seconds=1)
    Usage.objects.update(counted_at=a_day_ago, stored_bytes=0)
    quotas.delete_old()
    second = upload(channel, olga, tmp_path, name="second")
    usage = Usage.objects.get()
    assert usage.day_packages == 2
    assert usage.stored_bytes > second.size_bytes
    Usage.objects.update(counted_at=a_day_ago, day=a_day_ago.date())
    quotas.delete_old()
    assert not Usage.objects.exists()
    upload(channel, olga, tmp_path, name="third")
    settings.HUB_USER_BYTES = settings.HUB_USER_PACKAGES_A_DAY = 0
    quotas.delete_old()
    assert not Usage.objects.exists()


def test_it_costs_one_query_before_the_body_and_one_after(
    channel: Channel, olga: User, tmp_path: Path, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    upload(channel, olga, tmp_path)
    with django_assert_num_queries(1):
        payer = quotas.check_room(channel, 100)
    assert payer is not None
    with django_assert_num_queries(1):
        quotas.charge(quotas.Bill(payer, 100))


def test_upload_without_a_quota_costs_no_query(
    channel: Channel, settings: Settings, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    settings.HUB_USER_BYTES = settings.HUB_USER_PACKAGES_A_DAY = 0
    with django_assert_num_queries(0):
        assert quotas.check_room(channel, 100) is None
        assert quotas.payer_of(channel) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_counted", [True, False])
def test_uploads_at_once_do_not_pass_the_quota(tmp_path: Path, settings: Settings, is_counted: bool) -> None:
    settings.HUB_USER_PACKAGES_A_DAY = 3
    olga = make_user("olga")
    places = [make_channel(f"channel-{number}", owner=olga) for number in range(2)]
    packages = [received(make_conda(tmp_path, name=f"package-{number}")) for number in range(6)]
    if is_counted:
        quotas.check_room(places[0], 0)
    with shared_database(tmp_path):
        done = at_once(
            *[
                partial(publish, actor=Actor(user=olga), channel=places[number % 2], received=package)
                for number, package in enumerate(packages)
            ]
        )
        assert done.count("quota_packages") == 3
        [counted] = at_once(lambda: Usage.objects.values_list("stored_bytes", "day_packages").get())
        [stored] = at_once(lambda: sum(Artifact.objects.values_list("size_bytes", flat=True)))
        assert counted == (stored, 3)


@pytest.mark.parametrize(
    ("sign_up", "expected"),
    [("open", "20 10737418240 500"), ("invitation", "0 0 0"), ("domains", "0 0 0")],
)
def test_quotas_are_on_where_anybody_can_sign_up(tmp_path: Path, sign_up: str, expected: str) -> None:
    names = ("HUB_USER_CHANNELS", "HUB_USER_BYTES", "HUB_USER_PACKAGES_A_DAY")
    shown = f"from django.conf import settings; print(*[getattr(settings, name) for name in {names}])"
    keep = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment = {"HUB_DATA_DIR": str(tmp_path), "HUB_SIGN_UP": sign_up, "HUB_SIGN_UP_DOMAINS": "example.org"}
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", shown]
    done = subprocess.run(command, cwd=ROOT, env=keep | environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected
