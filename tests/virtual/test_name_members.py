"""Verification and repair of the members that bring the names of a virtual channel, and of its indexes."""

import pytest
from django.core.management import call_command

from channels_app.models import Channel, Role, User
from publishing.verification import verification
from publishing.verification.differences import DifferenceKind
from tests.builders import make_artifact, make_channel, make_member
from tests.pages import signed_in
from tests.sample_channel import found
from tests.virtual.channels import build_all, file_names, make_virtual, shards

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(olga: User) -> Channel:
    make_channel("forge", owner=olga, is_private=False)
    return make_channel("acme", owner=olga, is_private=False)


def test_verify_reports_names_of_wrong_members_and_reindex_takes_them_again(olga: User, acme: Channel) -> None:
    make_artifact(acme, "both", "1.0", subdir="linux-64")
    make_artifact(acme, "lost")
    make_artifact(Channel.objects.get(name="forge"), "both", "2.0")
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    channel.virtual_names.filter(name="both").update(member=channel.virtual_members.get(member__name="forge"))
    channel.virtual_names.filter(name="lost").delete()
    make_artifact(acme, "not-built-yet")
    differences = verification.verify(channel).differences
    members = [each for each in differences if each.kind == DifferenceKind.MEMBER]
    assert [(each.name, each.key) for each in members] == [("both", "all/"), ("lost", "all/")]
    assert "from forge, expected acme." in members[0].sentence
    call_command("reindex", "all")
    build_all()
    assert found(channel) == []
    assert file_names("all", "linux-64") == ["both-1.0-0.conda"]


def test_repair_takes_names_and_subdirs_that_a_virtual_channel_lacks(olga: User, acme: Channel) -> None:
    make_artifact(acme, "one", subdir="linux-64")
    make_artifact(acme, "one")
    make_artifact(acme, "two")
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    channel.indexes.get(subdir="noarch").names.filter(name="one").delete()
    channel.indexes.filter(subdir="linux-64").delete()
    channel.virtual_names.filter(name="two").delete()
    assert {("index", "all/noarch/one"), ("index", "all/linux-64/"), ("member", "all/")} <= set(found(channel))
    call_command("verify", "all", "--repair")
    assert found(channel) == []
    assert shards("all") == shards("acme")
    assert file_names("all", "linux-64") == ["one-1.0-0.conda"]


def test_activity_of_a_channel_with_private_members_names_no_package(olga: User, sam: User, acme: Channel) -> None:
    """Sam manages the virtual channel, and can't read its member."""
    make_artifact(acme, "acme-secret")
    channel = make_virtual(olga, "acme")
    build_all()
    Channel.objects.filter(pk=acme.pk).update(is_private=True)
    make_member(channel, sam, Role.MAINTAINER)
    channel.virtual_names.all().delete()
    channel.indexes.get(subdir="noarch").names.all().delete()
    verification.verify_nightly(channel.pk)
    answer = signed_in(sam).get("/api/v1/channels/all/activity")
    actions = [event["action"] for event in answer.json()["items"]]
    assert {"channel.differ", "channel.repair"} <= set(actions)
    assert "acme-secret" not in answer.content.decode()
