"""Tests of old invitations after a loss of rights: they don't restore a removed member or a lowered role."""

from collections.abc import Callable

import pytest
from allauth.account.models import EmailAddress

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.channels import channels
from channels_app.models import Channel, Invitation, Member, Role, Team, TeamMember, User
from channels_app.people import handing_over, invitations, members, teams
from tests.builders import make_address, make_member, make_team, make_team_member, make_user
from tests.refusals import refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def mia(channel: Channel) -> User:
    """Return a maintainer of the channel, with a verified address."""
    mia = make_user("mia")
    make_address(mia, "mia@example.org")
    make_member(channel, mia, Role.MAINTAINER)
    return mia


def invite(by: User, channel: Channel, role: str = Role.OWNER, **who: str) -> Invitation:
    return invitations.invite(actor=Actor(user=by), channel=channel, role=role, **who)


def check_is_over(user: User, invitation: Invitation, whence: str = "'demo'") -> None:
    words = f"This invitation is no longer valid: a role in {whence} was removed or lowered after it was sent."
    with refused(403, "taken_back", f"{words} Ask for a new one."):
        invitations.accept(user=user, invitation=invitation)


@pytest.mark.parametrize("who", [{"username": "mia"}, {"email": "mia@example.org"}])
def test_invitation_to_own_ends_with_a_lower_role(channel: Channel, olga: User, mia: User, who: dict[str, str]) -> None:
    """Regression: an invitation of another owner restored the role."""
    invitation = invite(olga, channel, **who)
    members.change(actor=Actor(user=olga), channel=channel, username="mia", role=Role.VIEWER)
    check_is_over(mia, invitation)
    assert permissions(Actor(user=mia), channel) == {Permission.READ}


def test_invitation_ends_with_the_removal_of_its_invitee(channel: Channel, olga: User, mia: User) -> None:
    """Check an invitation to another address of the member."""
    invitation = invite(olga, channel, Role.MAINTAINER, email="mia@example.org")
    members.remove(actor=Actor(user=olga), channel=channel, username="mia")
    check_is_over(mia, invitation)
    assert permissions(Actor(user=mia), channel) == frozenset()


def test_address_verified_afterwards_accepts_no_ended_invitation(channel: Channel, olga: User, mia: User) -> None:
    invitation = invite(olga, channel, Role.MAINTAINER, email="other@example.org")
    members.remove(actor=Actor(user=olga), channel=channel, username="mia")
    EmailAddress.objects.create(user=mia, email="other@example.org", verified=True)
    check_is_over(mia, invitation)


def test_replaced_owner_does_not_return_by_an_invitation(channel: Channel, olga: User, mia: User) -> None:
    ida = make_user("ida")
    make_address(ida, "ida@example.org")
    make_member(channel, ida, Role.OWNER)
    invitation = invite(ida, channel, email="mia@example.org")
    invitations.accept(user=mia, invitation=invite(olga, channel, username="mia"))
    channels.transfer(actor=Actor(user=mia), channel=channel, username="olga")
    # She gave up the role herself, so the invitation stays valid.
    invitations.accept(user=mia, invitation=invitation)
    invitation = invite(olga, channel, email="mia@example.org")
    Member.objects.filter(user__in=[olga, ida]).delete()
    root = make_user("root", is_superuser=True)
    handing_over.hand_over(by=root, user=mia, username="ida", deactivate=False)
    Invitation.objects.filter(pk=invitation.pk).update(invited_by=ida)
    check_is_over(mia, invitation)


def test_a_new_invitation_is_as_good_as_any(channel: Channel, olga: User, mia: User) -> None:
    invite(olga, channel, email="mia@example.org")
    members.remove(actor=Actor(user=olga), channel=channel, username="mia")
    invitations.accept(user=mia, invitation=invite(olga, channel, email="mia@example.org"))
    assert Permission.OWN in permissions(Actor(user=mia), channel)


def leaves(channel: Channel, mia: User) -> None:
    members.leave(actor=Actor(user=mia), channel=channel)


def is_promoted(channel: Channel, mia: User) -> None:
    member = Member.objects.get(user=mia)
    member.role = Role.VIEWER
    member.save()
    actor = Actor(user=User.objects.get(username="olga"))
    members.change(actor=actor, channel=channel, username="mia", role=Role.MAINTAINER)


def other_is_removed(channel: Channel, mia: User) -> None:
    make_member(channel, make_user("cora"))
    members.remove(actor=Actor(user=mia), channel=channel, username="cora")


@pytest.mark.parametrize("what", [leaves, is_promoted, other_is_removed])
def test_unrelated_change_keeps_the_invitation(
    channel: Channel, olga: User, mia: User, what: Callable[[Channel, User], None]
) -> None:
    invitation = invite(olga, channel, email="mia@example.org")
    what(channel, mia)
    invitations.accept(user=mia, invitation=invitation)
    assert Permission.OWN in permissions(Actor(user=mia), channel)


@pytest.fixture
def tim(db: None) -> User:
    return make_user("tim")


@pytest.fixture
def team(tim: User) -> Team:
    return make_team("mappers", manager=tim)


def rename(team: Team, user: User, name: str) -> None:
    teams.update(user=user, team=team, name=name, description="", group="")


def test_a_team_that_was_removed_comes_back_by_no_other_name(
    channel: Channel, olga: User, team: Team, tim: User
) -> None:
    invitation = invite(olga, channel, Role.MAINTAINER, team="mappers")
    make_team_member(channel, team)
    members.remove(actor=Actor(user=olga), channel=channel, team="mappers")
    rename(team, tim, "charts")
    rename(team, tim, "maps")
    check_is_over(tim, invitation)


def test_removed_team_member_does_not_return_by_an_address(team: Team, tim: User, mia: User) -> None:
    invitation = invitations.invite_into_team(user=tim, team=team, name_or_address="mia@example.org")
    TeamMember.objects.create(team=team, user=mia)
    teams.remove(user=tim, team=team, username="mia")
    rename(team, tim, "charts")
    invitation.refresh_from_db()
    check_is_over(mia, invitation, "the team 'charts'")
    invitations.accept(user=mia, invitation=invitations.invite_into_team(user=tim, team=team, name_or_address="mia"))
