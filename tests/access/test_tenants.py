"""Tests of the isolation of tenants: a user's configuration never changes the result of another user's CI."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.authentication import api_keys
from channels_app.channels import channels, pending_names
from channels_app.models import AuditEvent, Channel, Outgoing, PendingName, Role, User
from hub.errors import HubError
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import candidates, exchange, publishers
from tests.builders import make_channel, make_issuer, make_member, make_publisher, make_user
from tests.id_tokens.builders import AUDIENCE, github_claims, signed
from tests.pages import events, signed_in, text
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db
FIELDS = {"repository": "octo-org/sample", "workflow": "release.yml"}
GITHUB = PROVIDERS["github"]
KEPT = "is reserved for a channel that another user's CI may create; choose another name."


@pytest.fixture(autouse=True)
def audience(settings: Settings) -> None:
    settings.PUBLIC_HOST = AUDIENCE


@pytest.fixture
def issuer(db: None) -> Issuer:
    return make_issuer()


def add_pending_publisher(user: User, name: str, issuer: Issuer, **fields: str) -> TrustedPublisher:
    cleaned = GITHUB.clean(FIELDS | fields)
    return publishers.add_pending(user=user, channel_name=name, issuer=issuer, fields=cleaned)


def mint(client: Client, **changes: Any) -> Any:
    token = signed(github_claims(**changes))
    return client.post("/api/oidc/mint_token", json.dumps({"token": token}), content_type="application/json")


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(HubError) as refusal:
        act()
    assert refusal.value.status in (403, 409)
    return refusal.value.code


def owners(name: str) -> list[str]:
    members = Channel.objects.get(name=name).members.filter(role=Role.OWNER)
    return list(members.values_list("user__username", flat=True))


# A pending name belongs to one user


def test_second_user_is_refused_the_name_and_the_first_one_gets_the_channel(
    client: Client, issuer: Issuer, olga: User, sam: User
) -> None:
    add_pending_publisher(olga, "shared", issuer)
    assert code_of(lambda: add_pending_publisher(sam, "shared", issuer, environment="release")) == "name_pending"
    assert mint(client).status_code == 200
    assert owners("shared") == ["olga"]


def test_page_says_that_the_name_is_kept(issuer: Issuer, olga: User, sam: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    form = {"channel_name": "shared", **FIELDS}
    page = signed_in(sam).post("/channels/new/publisher?provider=github", form)
    assert f"The name &#x27;shared&#x27; {KEPT.replace(chr(39), '&#x27;')}" in text(page)
    assert TrustedPublisher.objects.count() == 1


def test_own_second_workflow_may_make_the_same_channel(client: Client, issuer: Issuer, olga: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    other = add_pending_publisher(olga, "shared", issuer, workflow="nightly.yml")
    assert mint(client).status_code == 200
    other.refresh_from_db()
    assert (str(other.channel), other.channel_name, other.expires_at) == ("shared", "", None)


def test_channel_by_hand_is_refused_while_another_users_ci_has_the_name(issuer: Issuer, olga: User, sam: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    page = signed_in(sam).post("/channels/new", {"name": "shared", "is_private": "private"})
    assert KEPT.split(";")[0].replace("'", "&#x27;") in text(page)
    assert not Channel.objects.exists()


@pytest.mark.parametrize("name", ["noarch", "linux-64", "search", "api", "Shared", ".x", "a" * 129])
def test_name_that_no_channel_can_have(issuer: Issuer, olga: User, name: str) -> None:
    with pytest.raises(HubError) as refusal:
        add_pending_publisher(olga, name, issuer)
    assert refusal.value.code == "bad_channel_name"
    assert not PendingName.objects.exists()


def test_name_of_a_deleted_channel(issuer: Issuer, channel: Channel, olga: User, sam: User) -> None:
    channels.delete(actor=Actor(user=olga), channel=channel)
    assert code_of(lambda: add_pending_publisher(sam, "demo", issuer)) == "channel_exists"
    assert not PendingName.objects.exists()


def test_expired_publisher_frees_the_name(client: Client, issuer: Issuer, olga: User, sam: User) -> None:
    over = add_pending_publisher(olga, "shared", issuer)
    TrustedPublisher.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    PendingName.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    add_pending_publisher(sam, "shared", issuer)
    assert mint(client).status_code == 200
    assert owners("shared") == ["sam"]
    over.refresh_from_db()
    assert over.channel is None


def test_pending_publisher_after_its_expiry_is_added_again(issuer: Issuer, olga: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    TrustedPublisher.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    PendingName.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    again = add_pending_publisher(olga, "shared", issuer)
    assert PendingName.objects.get().expires_at == again.expires_at


def test_removing_the_last_one_frees_the_name(issuer: Issuer, olga: User, sam: User) -> None:
    first, second = (
        add_pending_publisher(olga, "shared", issuer),
        add_pending_publisher(olga, "shared", issuer, workflow="nightly.yml"),
    )
    publishers.remove(actor=Actor(user=olga), publisher=first)
    assert code_of(lambda: add_pending_publisher(sam, "shared", issuer)) == "name_pending"
    publishers.remove(actor=Actor(user=olga), publisher=second)
    add_pending_publisher(sam, "shared", issuer)


def test_name_goes_with_its_users_account(issuer: Issuer, olga: User, sam: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    olga.delete()
    add_pending_publisher(sam, "shared", issuer)


def test_expired_reservation_is_deleted(issuer: Issuer, olga: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    TrustedPublisher.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    PendingName.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    publishers.delete_expired()
    assert not PendingName.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_two_users_at_once_one_gets_the_name(tmp_path: Path) -> None:
    users, issuer = [make_user(f"user-{number}") for number in range(4)], make_issuer()
    with shared_database(tmp_path):
        adding = [partial(add_pending_publisher, user, "shared", issuer) for user in users[:2]]
        making = [partial(channels.create, name="shared", owner=user, is_private=True) for user in users[2:]]
        done = at_once(*adding, *making)
        assert sum(not isinstance(each, str) for each in done) == 1
        assert {each for each in done if isinstance(each, str)} <= {"name_pending", "channel_exists"}
        assert at_once(lambda: Channel.objects.count() + PendingName.objects.count()) == [1]


@pytest.mark.django_db(transaction=True)
def test_concurrent_creations_leave_one_channel_and_no_pending_name(tmp_path: Path) -> None:
    olga, sam, issuer = make_user("olga"), make_user("sam"), make_issuer()

    def left(name: str) -> tuple[int, bool, bool]:
        waits = TrustedPublisher.objects.filter(channel_name=name).exists()
        return Channel.objects.filter(name=name).count(), waits, PendingName.objects.filter(name=name).exists()

    with shared_database(tmp_path):
        for name in ("lab-1", "lab-2", "lab-3"):
            [mine] = at_once(partial(add_pending_publisher, olga, name, issuer))
            assert isinstance(mine, TrustedPublisher)
            at_once(
                partial(exchange.exchange, signed(github_claims())),
                partial(exchange.exchange, signed(github_claims())),
                partial(channels.create, name=name, owner=olga, is_private=True),
                partial(channels.create, name=name, owner=sam, is_private=True, is_by_operator=True),
                partial(publishers.remove, actor=Actor(user=olga), publisher=mine),
                partial(add_pending_publisher, sam, name, issuer),
            )
            assert at_once(partial(left, name)) == [(1, False, False)]


# Every way to create the channel binds or ends the publisher


def test_own_channel_by_hand_takes_the_publisher_along(client: Client, issuer: Issuer, olga: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    signed_in(olga).post("/channels/new", {"name": "shared", "is_private": "private"})
    publisher = TrustedPublisher.objects.get()
    assert (str(publisher.channel), publisher.channel_name, publisher.expires_at) == ("shared", "", None)
    assert not PendingName.objects.exists()
    assert [action for action, _, _ in events()] == ["publisher.add", "publisher.bind", "channel.create"]
    key = api_keys.look_up(mint(client).content.decode())
    assert permissions(Actor(key=key), Channel.objects.get()) == {Permission.UPLOAD}


@pytest.mark.parametrize("command", ["createchannel", "importchannel"])
def test_channel_by_an_operator_for_another_user_ends_the_reservation(
    client: Client, issuer: Issuer, olga: User, sam: User, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    add_pending_publisher(olga, "shared", issuer)
    make_publisher(make_channel(owner=olga), issuer)
    call_command(command, "shared", owner="sam")
    assert "olga's CI can't make the channel any more" in capsys.readouterr().out
    assert owners("shared") == ["sam"]
    assert not TrustedPublisher.objects.filter(channel=None).exists()
    [event] = AuditEvent.objects.filter(action="publisher.end")
    assert event.detail["user"] == olga.pk
    assert Outgoing.objects.filter(args=[event.pk]).exists()
    assert mint(client).status_code == 200


@pytest.mark.parametrize("command", ["createchannel", "importchannel"])
def test_channel_by_an_operator_for_the_same_user_keeps_the_publishers(
    issuer: Issuer, olga: User, command: str
) -> None:
    add_pending_publisher(olga, "shared", issuer)
    call_command(command, "shared", owner="olga")
    assert str(TrustedPublisher.objects.get().channel) == "shared"


# An exchange settles each publisher on its own


def test_one_that_fails_drops_out(client: Client, issuer: Issuer, channel: Channel, sam: User) -> None:
    """Use pending names of two users, as in a database from before names belonged to one user."""
    make_publisher(None, issuer, channel_name="demo", created_by=sam)
    make_publisher(None, issuer, channel_name="other", created_by=sam)
    make_publisher(channel, issuer)
    key = api_keys.look_up(mint(client).content.decode())
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}
    assert owners("other") == ["sam"]
    assert key is not None
    assert {str(publisher.channel) for publisher in key.publishers.all()} == {"demo", "other"}


def test_broken_rows_of_one_user_leave_others_served(
    client: Client, issuer: Issuer, channel: Channel, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = make_publisher(make_channel("sams", owner=sam), issuer, created_by=sam)
    make_publisher(channel, issuer)
    settle = publishers.settle

    def settled(publisher: TrustedPublisher, claims: dict[str, Any]) -> None:
        settle(publisher, claims)
        if publisher == broken:
            TrustedPublisher.objects.create(channel=None, channel_name="", issuer=issuer, fields={})

    monkeypatch.setattr(publishers, "settle", settled)
    key = api_keys.look_up(mint(client).content.decode())
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}
    broken.refresh_from_db()
    assert broken.last_used_at is None


def test_several_users_failures_name_no_channel(client: Client, issuer: Issuer, olga: User, sam: User) -> None:
    for user in (olga, sam):
        make_channel(f"hidden-{user}", owner=make_user(f"other-{user}"))
        make_publisher(None, issuer, channel_name=f"hidden-{user}", created_by=user)
    answer = mint(client)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (422, "channel_taken")
    assert answer.content == b"The channel can't be created. The user who added the trusted publisher can see why.\n"


def test_most_specific_of_another_user_does_not_displace_mine(
    client: Client, issuer: Issuer, olga: User, sam: User
) -> None:
    make_publisher(None, issuer, channel_name="same", created_by=olga)
    make_publisher(None, issuer, channel_name="same", created_by=sam, fields=FIELDS | {"environment": "release"})
    assert mint(client).status_code == 200
    assert owners("same") == ["olga"]


def test_wrong_ids_typed_in_by_another_user_hide_no_reason(
    client: Client, issuer: Issuer, channel: Channel, olga: User, sam: User
) -> None:
    make_publisher(channel, issuer, created_by=olga, fields=FIELDS | {"environment": "production"})
    theirs = make_channel("theirs", owner=sam)
    make_publisher(theirs, issuer, created_by=sam, pins={"repository_id": "1"})
    answer = mint(client)
    assert answer.headers["X-Error-Code"] == "publisher_differs"
    assert "'production'" in answer.content.decode()


def test_owners_are_notified_of_as_many_publishers_as_one_token_serves(
    client: Client, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SERVED_MAX", 2)
    for number in range(5):
        make_publisher(make_channel(f"wrong-{number}"), issuer, pins={"repository_id": "1"})
    assert mint(client).headers["X-Error-Code"] == "resurrected"
    assert AuditEvent.objects.filter(action="publisher.refuse").count() == 2


def test_refusal_speaks_of_few_users(client: Client, issuer: Issuer) -> None:
    for number in range(9):
        user = make_user(f"user-{number}")
        fields = FIELDS | {"environment": f"environment-{number}"}
        make_publisher(make_channel(f"hidden-{number}", owner=user), issuer, created_by=user, fields=fields)
    answer = mint(client).content.decode()
    assert answer.count("Environment: the token says") == candidates.REPORTED_MAX
    assert "hidden" not in answer


def test_each_user_has_a_share_of_an_exchange(
    client: Client, issuer: Issuer, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "USERS_MAX", 3)
    monkeypatch.setattr(candidates, "SERVED_MAX", 5)
    for number in range(6):
        make_publisher(make_channel(f"sams-{number}", owner=sam), issuer, created_by=sam)
    for number in range(2):
        make_publisher(make_channel(f"olgas-{number}", owner=olga), issuer, created_by=olga)
    key = api_keys.look_up(mint(client).content.decode())
    assert key is not None
    served = sorted(str(publisher.channel) for publisher in key.publishers.all())
    assert served == ["olgas-0", "olgas-1", "sams-0", "sams-1", "sams-2"]


def test_used_publishers_are_not_displaced_by_new_ones(
    client: Client, issuer: Issuer, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "SERVED_MAX", 1)
    make_publisher(make_channel("sams", owner=sam), issuer, created_by=sam)
    make_publisher(make_channel("olgas", owner=olga), issuer, created_by=olga, last_used_at=timezone.now())
    key = api_keys.look_up(mint(client).content.decode())
    assert key is not None
    assert [str(publisher.channel) for publisher in key.publishers.all()] == ["olgas"]


def test_key_has_in_each_channel_the_rights_given_there(
    client: Client, issuer: Issuer, channel: Channel, olga: User, sam: User
) -> None:
    make_publisher(channel, issuer, created_by=olga, package_globs=["mine-*"])
    theirs = make_channel("theirs", owner=sam)
    make_publisher(theirs, issuer, created_by=sam, may_upload=False, may_read=True)
    key = api_keys.look_up(mint(client).content.decode())
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}
    assert permissions(Actor(key=key), theirs) == {Permission.READ}
    publishers.remove(actor=Actor(user=sam), publisher=TrustedPublisher.objects.get(channel=theirs))
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}


# Limits


def test_pending_publishers_of_a_user(issuer: Issuer, olga: User, sam: User, settings: Settings) -> None:
    settings.HUB_USER_PENDING_PUBLISHERS = 2
    add_pending_publisher(olga, "one", issuer)
    add_pending_publisher(olga, "two", issuer)
    with pytest.raises(HubError) as refusal:
        add_pending_publisher(olga, "three", issuer)
    assert (refusal.value.status, refusal.value.code) == (403, "pending_publishers_limit")
    assert refusal.value.detail == (
        "olga has 2 trusted publishers that wait for their channel; a user may have 2. "
        "Remove one, or ask an administrator for more."
    )
    assert not PendingName.objects.filter(name="three").exists()
    add_pending_publisher(sam, "three", issuer)
    add_pending_publisher(make_user("root", is_superuser=True), "four", issuer)


def test_pending_names_count_as_channels(client: Client, issuer: Issuer, olga: User, settings: Settings) -> None:
    settings.HUB_USER_CHANNELS = 2
    add_pending_publisher(olga, "one", issuer)
    make_channel("two", owner=olga)
    assert code_of(lambda: add_pending_publisher(olga, "three", issuer)) == "channels_limit"
    assert code_of(lambda: channels.create(name="three", owner=olga, is_private=True)) == "channels_limit"
    add_pending_publisher(olga, "one", issuer, workflow="nightly.yml")
    assert mint(client).status_code == 200
    assert owners("one") == ["olga"]


def test_limit_of_one_user_does_not_break_the_exchange_of_another(
    client: Client, issuer: Issuer, channel: Channel, olga: User, sam: User, settings: Settings
) -> None:
    make_publisher(channel, issuer, created_by=olga)
    add_pending_publisher(sam, "sams", issuer)
    settings.HUB_USER_CHANNELS = 1
    make_channel("another", owner=sam)
    assert mint(client).status_code == 200
    assert not Channel.objects.filter(name="sams").exists()


def test_publishers_of_a_channel(issuer: Issuer, channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_CHANNEL_PUBLISHERS = 1
    make_publisher(channel, issuer)
    add = partial(publishers.add, channel=channel, issuer=issuer, fields=GITHUB.clean(FIELDS | {"ref_type": "tag"}))
    with pytest.raises(HubError, match=r"'demo' has 1 trusted publishers; a channel may have 1. Remove one"):
        add(actor=Actor(user=olga))
    add(actor=Actor(user=make_user("root", is_superuser=True)))


def test_publishers_of_one_repository(
    issuer: Issuer, channel: Channel, olga: User, max_: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "USERS_MAX", 1)
    make_member(channel, max_, Role.MAINTAINER)
    make_publisher(make_channel("other", owner=olga), issuer, created_by=olga)
    fields = GITHUB.clean(FIELDS)
    add = partial(publishers.add, channel=channel, issuer=issuer, fields=fields)
    assert code_of(lambda: add(actor=Actor(user=olga))) == "publishers_limit"
    assert code_of(lambda: add_pending_publisher(olga, "fresh", issuer)) == "publishers_limit"
    add(actor=Actor(user=max_))


# Rows of a hub from before this rule


def migrate() -> None:
    migration = import_module("publishing.migrations.0006_pending_names")
    migration.add_events_field(apps, None)
    migration.settle_names(apps, None)


def test_migration_leaves_a_name_to_the_oldest(client: Client, issuer: Issuer, olga: User, sam: User) -> None:
    soon = timezone.now() + timedelta(days=1)
    make_publisher(None, issuer, channel_name="same", created_by=olga, expires_at=soon)
    lost = make_publisher(None, issuer, channel_name="same", created_by=sam, expires_at=soon + timedelta(days=9))
    later, nightly = soon + timedelta(days=2), FIELDS | {"workflow": "nightly.yml"}
    make_publisher(None, issuer, channel_name="same", created_by=olga, expires_at=later, fields=nightly)
    make_publisher(None, issuer, channel_name="over", created_by=sam, expires_at=timezone.now() - timedelta(days=1))
    migrate()
    assert not TrustedPublisher.objects.filter(pk=lost.pk).exists()
    held = PendingName.objects.get()
    assert (held.name, held.user, held.expires_at) == ("same", olga, later)
    [(action, target, detail)] = events()
    assert (action, target) == ("publisher.end", "octo-org/sample")
    assert (detail["channel"], detail["user"]) == ("same", sam.pk)
    assert mint(client).status_code == 200
    assert owners("same") == ["olga"]


def test_migration_moves_pending_publishers_to_existing_channels(
    issuer: Issuer, channel: Channel, olga: User, max_: User, sam: User
) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    soon = timezone.now() + timedelta(days=1)
    for user in (olga, max_, sam):
        make_publisher(None, issuer, channel_name="demo", created_by=user, expires_at=soon)
    migrate()
    publisher = TrustedPublisher.objects.get()
    assert (publisher.channel, publisher.created_by, publisher.expires_at) == (channel, olga, None)
    assert [detail["user"] for _, _, detail in events()] == [max_.pk, sam.pk]
    assert not PendingName.objects.exists()


def test_migration_gives_every_publisher_the_box(client: Client, issuer: Issuer, channel: Channel, olga: User) -> None:
    cleaned = GITHUB.clean(FIELDS)
    old = publishers.add(actor=Actor(user=olga), channel=channel, issuer=issuer, fields=cleaned)
    as_now = old.identity
    del old.fields["events"]
    old.identity = "0" * 64
    old.save()
    migrate()
    old.refresh_from_db()
    assert (old.fields, old.identity) == (cleaned, as_now)
    assert mint(client).status_code == 200


def test_name_stays_reserved_after_a_refused_reservation(issuer: Issuer, olga: User, sam: User) -> None:
    add_pending_publisher(olga, "shared", issuer)
    with pytest.raises(HubError):
        pending_names.reserve(name="shared", user=sam)
    assert PendingName.objects.get().user == olga
