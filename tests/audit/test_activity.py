"""Tests of a channel's activity page: descriptions, filters, and paging."""

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.audit.descriptions import ACTIONS, entry
from channels_app.channels import channels
from channels_app.models import AuditEvent, Channel, Invitation, Role, User
from channels_app.people import invitations, members
from hub.sizes import MIB
from publishing.id_tokens.claims import BadToken
from publishing.models import TrustedPublisher
from publishing.trusted import publishers
from tests.builders import (
    make_address,
    make_artifact,
    make_channel,
    make_key,
    make_member,
    make_publisher,
    make_short_lived_token,
    make_team,
    make_user,
)
from tests.id_tokens.builders import github_claims
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

BASE = "/channels/demo"
ACTIVITY = f"{BASE}/settings/activity"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def make_events(channel: Channel, olga: User) -> None:
    actor = Actor(user=olga)
    make_member(channel, make_user("jo"))
    log.record(Action.MEMBER_ADD, by=actor, channel=channel, target="jo", detail={"role": "viewer"})
    members.change(actor=actor, channel=channel, username="jo", role=Role.MAINTAINER)
    channels.update(actor=actor, channel=channel, description="Maps", is_private=False)
    channels.change_policies(actor=actor, channel=channel, allow_overwrite=True, max_upload_bytes=5 * MIB)


def sentences(client: Client, query: str = "") -> list[str]:
    page = text(client.get(f"{ACTIVITY}?{query}"))
    timeline = page[page.index('<ol class="timeline"') :]
    # Each note is on its own line.
    lines = timeline.replace('<span class="sub">', " ")
    return [" ".join(re.sub(r"<[^>]+>", "", each).split()) for each in re.findall(r"<div>(.*?)</div>", lines)]


def test_every_action_has_its_words() -> None:
    assert set(ACTIONS) == set(Action)


def test_activity_describes_each_action(owner: Client, channel: Channel, olga: User) -> None:
    make_events(channel, olga)
    assert sentences(owner) == [
        "olga changed the policies Overwriting: off → on Largest package: the hub&#x27;s limit → 5 MiB",
        "olga changed the channel Visibility: private → public Description: none → “Maps”",
        "olga changed jo from a viewer to a maintainer",
        "olga added jo as a viewer",
    ]


def test_activity_names_trusted_publishers(owner: Client, channel: Channel, olga: User) -> None:
    publisher = make_publisher(channel, pins={"repository_id": "1"})
    with pytest.raises(BadToken):
        publishers.matching(publisher.issuer, github_claims())
    TrustedPublisher.objects.update(pins={})
    publisher.refresh_from_db()
    publishers.settle(publisher, github_claims())
    key, _ = make_short_lived_token(publisher)
    log.record(Action.KEY_MINT, by=Actor(key=key), channel=channel, target=publisher.subject)
    log.record(Action.ARTIFACT_PUBLISH, by=Actor(key=key), channel=channel, target="demo/noarch/a-1-0.conda")
    publishers.remove(actor=Actor(user=olga), publisher=publisher)
    key.delete()
    name, fields = "GitHub Actions: octo-org/sample", "repository: octo-org/sample workflow: release.yml"
    pins = "repository_id: 740510 repository_owner_id: 65"
    assert sentences(owner, "kind=settings") == [
        f"olga removed the trusted publisher {name} {fields}",
        f"{name} got a short-lived token",
        f"The hub pinned {name} at its first use {fields} {pins}",
        f"The hub refused {name}: its stable id has changed {fields} Expected 1, found 740510",
    ]
    assert sentences(owner, "kind=packages") == [f"{name} published noarch/a-1-0.conda"]


def test_activity_describes_teams_and_invitations(owner: Client, channel: Channel, olga: User) -> None:
    actor = Actor(user=olga)
    make_team("mappers", manager=olga)
    members.add(actor=actor, channel=channel, team="mappers", role=Role.VIEWER)
    for email in ("ada@example.org", "eve@example.org", "jo@example.org"):
        invitations.invite(actor=actor, channel=channel, email=email, role=Role.OWNER)
    invitations.withdraw(actor=actor, channel=channel, name_or_address="jo@example.org")
    for name, answer in (("ada", invitations.accept), ("eve", invitations.decline)):
        user, email = make_user(name), f"{name}@example.org"
        make_address(user, email)
        answer(user=user, invitation=Invitation.objects.get(email=email))
    assert sentences(owner, "kind=members") == [
        "eve declined the invitation of eve@example.org as an owner",
        "ada accepted an invitation and is an owner",
        "olga withdrew the invitation of jo@example.org as an owner",
        "olga invited jo@example.org as an owner",
        "olga invited eve@example.org as an owner",
        "olga invited ada@example.org as an owner",
        "olga added team mappers as a viewer",
    ]


def test_activity_names_the_key_the_reason_and_the_artifact_that_is_there(
    owner: Client, channel: Channel, olga: User
) -> None:
    make_key(olga)
    make_artifact(channel)
    of_demo = {"channel": channel, "actor": olga}
    for action, target, more in (
        (
            "artifact.publish",
            "noarch/demo-1.0-0.conda",
            {"key": olga.keys.get(), "detail": {"size_bytes": 1234, "sha256": "0123456789abcdef0"}},
        ),
        ("artifact.yank", "noarch/gone-1.0-0.conda", {"detail": {"reason": "<i>broken</i>"}}),
        ("artifact.set_aside", "demo/noarch/demo-1.0-0.conda", {"actor": None}),
        ("artifact.delete", "noarch/demo-1.0-0.conda", {"actor": None}),
        ("token.dance", "x", {}),
    ):
        AuditEvent.objects.create(action=action, target=target, **(of_demo | more))
    page = text(owner.get(ACTIVITY))
    assert sentences(owner) == [
        "olga token: dance x",
        "Deleted user deleted noarch/demo-1.0-0.conda",
        "The hub left noarch/demo-1.0-0.conda out of the index: a client can&#x27;t read it",
        "olga yanked noarch/gone-1.0-0.conda Reason: &lt;i&gt;broken&lt;/i&gt;",
        "olga published noarch/demo-1.0-0.conda 1.2 KiB, SHA-256 0123456789abcdef… With the key “test”",
    ]
    assert page.count(f'href="{BASE}/artifacts/noarch/demo-1.0-0.conda"') == 3
    assert "artifacts/noarch/gone" not in page


def test_event_recorded_without_an_actor_is_of_the_hub(channel: Channel) -> None:
    for action in Action:
        log.record(action, channel=channel, target="x")
        log.record_each(action, channel=channel, targets={"y": {}})
    assert {entry(event).actor for event in channel.events.all()} == {"The hub"}


def test_event_of_a_command_keeps_the_name_that_the_command_states(channel: Channel) -> None:
    log.record(Action.CHANNEL_TRANSFER, channel=channel, target="x", detail={"by": "manage.py"})
    assert entry(channel.events.get()).actor == "manage.py"


def test_activity_is_narrowed_to_a_kind(owner: Client, channel: Channel, olga: User) -> None:
    make_events(channel, olga)
    assert len(sentences(owner, "kind=members")) == len(sentences(owner, "kind=settings")) == 2
    assert len(sentences(owner, "kind=nonsense")) == 4
    assert "No activity of this kind yet" in text(owner.get(f"{ACTIVITY}?kind=packages"))


def test_activity_is_that_of_the_channel_alone(owner: Client, channel: Channel, olga: User) -> None:
    make_events(make_channel("other", owner=olga), olga)
    assert "No activity of this kind yet" in text(owner.get(ACTIVITY))


@pytest.mark.parametrize("count", [2, 120])
def test_activity_has_pages_and_a_constant_number_of_queries(
    owner: Client, channel: Channel, olga: User, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    AuditEvent.objects.bulk_create(
        AuditEvent(action="artifact.publish", target=f"noarch/a-{n}-0.conda", actor=olga, channel=channel)
        for n in range(count)
    )
    with django_assert_max_num_queries(9):
        assert len(sentences(owner)) == min(count, 50)
    assert len(sentences(owner, "page=3")) == (20 if count == 120 else 2)
