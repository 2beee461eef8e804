"""Tests of the payer of a channel: others can't make a user pay. Each test repeats an attack."""

from typing import Any

import pytest
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.channels import channels
from channels_app.models import Channel, Invitation, Member, Role, User
from channels_app.people import invitations, members
from channels_app.quotas import quotas, user_limits
from hub.errors import HubError
from hub.sizes import MIB
from tests.builders import make_artifact, make_channel, make_member, make_user
from tests.pages import messages, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quota(settings: Settings) -> None:
    settings.HUB_USER_BYTES, settings.HUB_USER_CHANNELS = 10 * MIB, 20


def payer(channel: Channel) -> str:
    found = quotas.payer_of(channel)
    return found.username if found else ""


def leave(channel: Channel, user: User) -> None:
    members.leave(actor=Actor(user=user), channel=channel)


def step_down(channel: Channel, user: User) -> None:
    members.change(actor=Actor(user=user), channel=channel, username=user.username, role=Role.MAINTAINER)


def hand_over(channel: Channel, user: User) -> None:
    channels.transfer(actor=Actor(user=user), channel=channel, username="max")


def test_promoted_owner_pays_after_earlier_owners(olga: User, max_: User, sam: User) -> None:
    """Promote Max, a viewer since before Sam was an owner: he must not become the first owner, the payer."""
    channel = make_channel("demo", owner=olga)
    make_member(channel, max_)
    make_member(channel, sam, Role.OWNER)
    leave(channel, olga)
    since = Member.objects.get(user=max_).created_at
    asked = invitations.invite(actor=Actor(user=sam), channel=channel, username="max", role=Role.OWNER)
    assert Member.objects.get(user=max_).role == Role.VIEWER
    invitations.accept(user=max_, invitation=asked)
    assert Member.objects.get(user=max_).role == Role.OWNER
    assert payer(channel) == "sam"
    assert not user_limits.channels_of(max_).exists()
    assert Member.objects.get(user=max_).created_at == since


def test_transfer_by_an_administrator_leaves_the_first_to_pay(olga: User, max_: User, sam: User) -> None:
    root = make_user("root", is_superuser=True)
    channel = make_channel("demo", owner=sam)
    Member.objects.all().delete()
    make_member(channel, max_)
    make_member(channel, sam, Role.OWNER)
    make_member(channel, olga, Role.OWNER)
    channels.transfer(actor=Actor(user=root), channel=channel, username="max")
    assert payer(channel) == "sam"


def test_member_is_asked_before_they_own(olga: User, max_: User) -> None:
    """Invite a viewer to be an owner: without consent, they would pay for the channel."""
    channel = make_channel("demo", owner=olga)
    make_member(channel, max_)
    form = {"action": "change", "username": "max", "role": "owner"}
    answer = signed_in(olga).post("/channels/demo/settings/members", form)
    assert messages(answer) == ["max is invited, and is an owner once the invitation is accepted."]
    assert Member.objects.get(user=max_).role == Role.VIEWER
    invitation = Invitation.objects.get()
    signed_in(max_).post("/account/invitations", {"action": "accept", "invitation": str(invitation.pk)})
    assert Member.objects.get(user=max_).role == Role.OWNER
    assert payer(channel) == "olga"


def test_declined_promotion_keeps_the_role(olga: User, max_: User) -> None:
    channel = make_channel("demo", owner=olga)
    make_member(channel, max_, Role.CONTRIBUTOR)
    asked = invitations.invite(actor=Actor(user=olga), channel=channel, username="max", role=Role.OWNER)
    invitations.decline(user=max_, invitation=asked)
    assert Member.objects.get(user=max_).role == Role.CONTRIBUTOR
    with pytest.raises(HubError) as refusal:
        invitations.invite(actor=Actor(user=olga), channel=channel, username="max", role=Role.OWNER)
    assert refusal.value.code == "declined"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CONTRIBUTOR, Role.MAINTAINER])
def test_role_below_owner_needs_no_acceptance(role: str, olga: User, max_: User) -> None:
    channel = make_channel("demo", owner=olga)
    make_member(channel, max_, Role.CONTRIBUTOR)
    with pytest.raises(HubError) as refusal:
        invitations.invite(actor=Actor(user=olga), channel=channel, username="max", role=role)
    assert refusal.value.code == "is_member"


@pytest.mark.parametrize("go", [leave, step_down, hand_over])
def test_leaving_payer_is_refused_if_the_next_lacks_quota(go: Any, olga: User, max_: User) -> None:
    """Check the bytes of a new payer: above the quota, every upload to all of their channels would be refused."""
    theirs, own = make_channel("theirs", owner=olga), make_channel("own", owner=max_)
    make_artifact(theirs, "large", size_bytes=6 * MIB, removal="deleted")
    make_artifact(own, "mine", size_bytes=5 * MIB)
    make_member(theirs, max_, Role.OWNER)
    with pytest.raises(HubError) as refusal:
        go(theirs, olga)
    assert (refusal.value.status, refusal.value.code) == (403, "bytes_limit")
    assert refusal.value.detail.startswith("'theirs' does not fit into the storage quota of max")
    assert payer(theirs) == "olga"


@pytest.mark.parametrize("go", [leave, step_down, hand_over])
def test_channel_within_the_quota_passes_to_the_next_owner(go: Any, olga: User, max_: User) -> None:
    channel = make_channel("theirs", owner=olga)
    make_artifact(channel, "large", size_bytes=10 * MIB)
    make_artifact(channel, "gone", size_bytes=6 * MIB, is_purged=True, removal="deleted")
    make_member(channel, max_, Role.OWNER)
    go(channel, olga)
    assert payer(channel) == "max"


def test_owner_who_does_not_pay_leaves_a_channel_of_any_size(olga: User, max_: User) -> None:
    channel = make_channel("theirs", owner=olga)
    make_artifact(channel, "large", size_bytes=100 * MIB)
    make_member(channel, max_, Role.OWNER)
    leave(channel, max_)
    assert payer(channel) == "olga"


def test_leaving_without_a_quota_ignores_bytes(settings: Settings, olga: User, max_: User) -> None:
    settings.HUB_USER_BYTES = 0
    channel = make_channel("theirs", owner=olga)
    make_artifact(channel, "large", size_bytes=100 * MIB)
    make_member(channel, max_, Role.OWNER)
    leave(channel, olga)
    assert Member.objects.get(channel=channel).user == max_
