"""Tests of reserved names: only the last owners can reuse a purged channel's name, in every way, until it is freed."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.audit import notifications
from channels_app.channels import channels, reserved_names
from channels_app.models import AuditEvent, Channel, ReservedName, Role, User
from hub.errors import HubError
from hub.storage import store
from publishing import housekeeping
from publishing.id_tokens.claims import BadToken
from publishing.id_tokens.providers import PROVIDERS
from publishing.trusted import publishers
from tests.builders import make_channel, make_issuer, make_key, make_member, make_publisher, make_user
from tests.id_tokens.builders import github_claims
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

SENTENCE = "The channel 'demo' was deleted; its name is reserved for its last owners."


@pytest.fixture
def gone(olga: User) -> None:
    """Purge the channel demo of Olga and Ida, which had a maintainer."""
    channel = make_channel(owner=olga)
    make_member(channel, make_user("ida", email="ida@example.org"), Role.OWNER)
    make_member(channel, make_user("mia"), Role.MAINTAINER)
    channels.delete(actor=Actor(user=olga), channel=channel)
    Channel.objects.update(deleted_at=timezone.now() - timedelta(days=2))
    housekeeping.remove_leftovers()
    assert not Channel.objects.exists()


def by_page(user: User) -> str:
    return text(signed_in(user).post("/channels/new", {"name": "demo", "is_private": "private"}))


def by_command(user: User) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("createchannel", "demo", owner=user.username)
    return str(caught.value)


def by_import(user: User) -> str:
    store().put("demo/noarch/repodata.json", b"{}")
    with pytest.raises(CommandError) as caught:
        call_command("importchannel", "demo", owner=user.username)
    return str(caught.value)


def by_pending_page(user: User) -> str:
    fields = {"repository": "octo-org/sample", "workflow": "release.yml", "channel_name": "demo"}
    return text(signed_in(user).post("/channels/new/publisher", fields))


def by_pending_publisher(user: User) -> str:
    fields = PROVIDERS["github"].clean({"repository": "octo-org/sample", "workflow": "release.yml"})
    with pytest.raises(HubError) as caught:
        publishers.add_pending(user=user, channel_name="demo", issuer=make_issuer(), fields=fields)
    assert (caught.value.status, caught.value.code) == (409, "name_reserved")
    return caught.value.detail


def by_exchange(user: User) -> str:
    """Settle a publisher that was pending before this rule existed."""
    publisher = make_publisher(channel_name="demo", created_by=user, expires_at=timezone.now() + timedelta(days=1))
    with pytest.raises(BadToken) as caught:
        publishers.settle(publisher, github_claims())
    return caught.value.reason


WAYS: dict[str, Callable[[User], str]] = {
    "page": by_page,
    "command": by_command,
    "import": by_import,
    "page of pending publishers": by_pending_page,
    "pending publisher": by_pending_publisher,
    "exchange": by_exchange,
}


@pytest.mark.parametrize("who", ["sam", "mia"])
@pytest.mark.parametrize("way", WAYS)
def test_name_of_a_deleted_channel_is_refused_to_other_users(gone: None, sam: User, way: str, who: str) -> None:
    told = WAYS[way](User.objects.get(username=who))
    assert SENTENCE.replace("'", "") in told.replace("&#x27;", "").replace("'", "")
    assert not Channel.objects.exists()
    assert ReservedName.objects.filter(name="demo").exists()


def test_administrator_must_free_a_reserved_name_before_its_use(gone: None, admin_user: User) -> None:
    with pytest.raises(HubError, match="is reserved"):
        channels.create(name="demo", owner=admin_user, is_private=True)


@pytest.mark.parametrize("name", ["olga", "ida"])
def test_each_last_owner_may_create_the_channel_again(gone: None, name: str) -> None:
    channels.create(name="demo", owner=User.objects.get(username=name), is_private=True)
    assert not ReservedName.objects.exists()


def test_name_without_living_owners_stays_reserved(gone: None, sam: User) -> None:
    User.objects.filter(username__in=["olga", "ida"]).delete()
    with pytest.raises(HubError, match="is reserved"):
        channels.create(name="demo", owner=sam, is_private=True)


def test_freename_frees_the_name_and_mails_its_owners(gone: None, sam: User) -> None:
    out = StringIO()
    call_command("freename", "demo", stdout=out)
    assert "Any user can now create a channel 'demo'." in out.getvalue()
    event = AuditEvent.objects.get(action="channel.free_name")
    assert (event.target, sorted(event.detail["owners"])) == ("demo", ["ida", "olga"])
    (reader,) = notifications.recipients(event.pk)
    notifications.send(event.pk, reader)
    assert mail.outbox[-1].to == ["ida@example.org"]
    assert "An administrator released the name." in mail.outbox[-1].body
    channels.create(name="demo", owner=sam, is_private=True)
    with pytest.raises(CommandError, match="is not reserved"):
        call_command("freename", "demo")


def test_administration_frees_a_reserved_name(gone: None, admin_user: User, sam: User) -> None:
    address = reverse("admin:channels_app_reservedname_changelist")
    browser = signed_in(admin_user)
    assert "ida, olga" in text(browser.get(address)) or "olga, ida" in text(browser.get(address))
    browser.post(address, {"action": "free", "_selected_action": [str(ReservedName.objects.get().pk)]})
    assert AuditEvent.objects.get(action="channel.free_name").actor == admin_user
    channels.create(name="demo", owner=sam, is_private=True)


@pytest.mark.parametrize("name", ["olga", "sam"])
def test_reserved_name_is_freed_by_administrators_only(gone: None, sam: User, name: str) -> None:
    user = User.objects.get(username=name)
    user.is_staff = True
    user.save()
    address = reverse("admin:channels_app_reservedname_changelist")
    signed_in(user).post(address, {"action": "free", "_selected_action": [str(ReservedName.objects.get().pk)]})
    with pytest.raises(HubError, match="Only administrators"):
        reserved_names.free(name="demo", actor=Actor(user=user))
    assert ReservedName.objects.exists()


def test_reserved_name_is_not_freed_by_a_key(gone: None, admin_user: User) -> None:
    make_key(admin_user)
    with pytest.raises(HubError, match="Only administrators"):
        reserved_names.free(name="demo", actor=Actor(user=admin_user, key=admin_user.keys.get()))


def test_a_channel_that_is_made_again_and_deleted_again_is_the_new_owners(gone: None, olga: User, sam: User) -> None:
    reserved_names.free(name="demo", actor=Actor())
    channel = channels.create(name="demo", owner=sam, is_private=True)
    channels.delete(actor=Actor(user=sam), channel=channel)
    Channel.objects.update(deleted_at=timezone.now() - timedelta(days=2))
    housekeeping.remove_leftovers()
    with pytest.raises(HubError, match="is reserved"):
        channels.create(name="demo", owner=olga, is_private=True)
    channels.create(name="demo", owner=sam, is_private=True)
