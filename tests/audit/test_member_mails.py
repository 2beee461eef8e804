"""Tests of mails about memberships: their recipients and their text."""

import pytest
from django.core import mail
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.audit import notifications
from channels_app.channels import channels
from channels_app.models import AuditEvent, Channel, Role, Team, TeamMember, User
from channels_app.people import invitations, members, teams
from tests.builders import make_member, make_team, make_team_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def addresses(olga: User, max_: User, sam: User, settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    for user in (olga, max_, sam):
        user.email = f"{user}@example.org"
        user.save()


@pytest.fixture
def team(max_: User, sam: User) -> Team:
    """Return a team of Sam's with Max as a member."""
    return make_team("mappers", max_, manager=sam)


def sent_mails() -> dict[str, tuple[str, str]]:
    """Return the mails of the latest event: address → subject and text."""
    event = AuditEvent.objects.latest("pk")
    for user_id in notifications.recipients(event.pk):
        notifications.send(event.pk, user_id)
    return {sent.to[0]: (str(sent.subject), str(sent.body)) for sent in mail.outbox}


def test_added_member_is_mailed_with_actor_and_role(channel: Channel, olga: User) -> None:
    User.objects.filter(pk=olga.pk).update(is_superuser=True)
    olga.refresh_from_db()
    members.add(actor=Actor(user=olga), channel=channel, username="max", role=Role.VIEWER)
    mail_of = sent_mails()
    assert set(mail_of) == {"olga@example.org", "max@example.org"}
    assert "olga made max a member of demo on" in mail_of["olga@example.org"][1]
    assert "You get this mail because you own demo." in mail_of["olga@example.org"][1]
    subject, text = mail_of["max@example.org"]
    assert subject == "max is now a member of demo"
    assert "olga made you a member of demo on https://hub.example.org.\nRole: viewer.\n" in text
    assert "https://hub.example.org/channels/demo/leave" in text


def test_member_with_a_changed_role_is_mailed(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_)
    members.change(actor=Actor(user=olga), channel=channel, username="max", role=Role.MAINTAINER)
    mail_of = sent_mails()
    assert "olga changed the role of max in demo" in mail_of["olga@example.org"][1]
    subject, text = mail_of["max@example.org"]
    assert subject == "max has a new role in demo"
    assert "The role is now maintainer (before: viewer). This applies immediately." in text


def test_removed_member_is_mailed(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    members.remove(actor=Actor(user=olga), channel=channel, username="max")
    mail_of = sent_mails()
    assert "olga removed max from demo" in mail_of["olga@example.org"][1]
    subject, text = mail_of["max@example.org"]
    assert subject == "max is no longer a member of demo"
    assert "olga removed you from demo on https://hub.example.org.\nThe role was maintainer." in text
    assert "/channels/demo" not in text


def test_resignation_is_mailed_to_the_owners_only(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    members.change(actor=Actor(user=max_), channel=channel, username="max", role=Role.VIEWER)
    assert set(sent_mails()) == {"olga@example.org"}


def test_changes_of_a_team_are_mailed_to_its_managers(channel: Channel, olga: User, team: Team) -> None:
    make_user("team mappers", email="trap@example.org")
    TeamMember.objects.create(team=team, user=olga, is_manager=True)
    members.add(actor=Actor(user=olga), channel=channel, team="mappers", role=Role.VIEWER)
    mail_of = sent_mails()
    assert set(mail_of) == {"olga@example.org", "sam@example.org"}
    subject, text = mail_of["sam@example.org"]
    assert subject == "team mappers is now a member of demo"
    assert "olga made the team mappers a member of demo" in text
    assert "You get this mail because you manage the team, or own demo." in text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda **who: members.change(role=Role.CONTRIBUTOR, **who),
            "olga changed the role of the team mappers in demo",
        ),
        (members.remove, "olga removed the team mappers from demo"),
    ],
)
def test_other_team_events_are_mailed_to_managers(
    channel: Channel, olga: User, team: Team, change: object, sentence: str
) -> None:
    make_team_member(channel, team)
    assert callable(change)
    change(actor=Actor(user=olga), channel=channel, team="mappers")
    mail_of = sent_mails()
    assert set(mail_of) == {"olga@example.org", "sam@example.org"}
    assert all(sentence in text for _, text in mail_of.values())


def test_transfer_is_mailed_to_old_and_new_owners(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, make_user("jo", email="jo@example.org"), Role.OWNER)
    make_member(channel, make_user("tom", email="tom@example.org"), Role.MAINTAINER)
    make_member(channel, max_, Role.OWNER)
    channels.transfer(actor=Actor(user=olga), channel=channel, username="max")
    mail_of = sent_mails()
    assert set(mail_of) == {"olga@example.org", "max@example.org", "jo@example.org"}
    subject, text = mail_of["max@example.org"]
    assert subject == "demo now belongs to max"
    assert "olga transferred demo on https://hub.example.org to max,\nwho is now its owner" in text


def test_a_rename_at_once_keeps_no_mail_back(channel: Channel, olga: User, sam: User, team: Team) -> None:
    """Rename the team after the event: the worker looks the recipients up later."""
    make_team_member(channel, team)
    invitation = invitations.invite_into_team(user=sam, team=team, name_or_address=make_user("eve").username)
    invitations.accept(user=User.objects.get(username="eve"), invitation=invitation)
    added = AuditEvent.objects.latest("pk")
    for name in ("surveyors", "mappers-2"):
        teams.update(user=sam, team=team, name=name, description="", group="")
    make_team("mappers", manager=make_user("trap", email="trap@example.org"))
    assert set(notifications.recipients(added.pk)) == {olga.pk, sam.pk}
