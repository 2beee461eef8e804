"""Tests of memberships: their rules, their events, and the last owner of a channel."""

from collections.abc import Callable
from pathlib import Path

import pytest

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.channels import channels
from channels_app.models import AuditEvent, Channel, Member, Role, Team, User
from channels_app.people import members
from tests.builders import make_channel, make_key, make_member, make_team, make_team_member, make_user
from tests.refusals import refused
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


def acting(user: User) -> Actor:
    return Actor(user=user)


def roles(channel: Channel) -> dict[str | None, str]:
    return dict(Member.objects.filter(channel=channel).values_list("user__username", "role"))


def last_event() -> tuple[str, str, dict[str, str]]:
    event = AuditEvent.objects.latest("pk")
    return event.action, event.target, event.detail


def test_a_member_is_added_with_a_role(channel: Channel, admin_user: User, max_: User) -> None:
    members.add(actor=acting(admin_user), channel=channel, username="max", role=Role.CONTRIBUTOR)
    assert roles(channel) == {"olga": "owner", "max": "contributor"}
    assert last_event() == ("member.add", "max", {"role": "contributor"})
    assert Permission.UPLOAD in permissions(acting(max_), channel)


def test_capitals_make_no_other_name(channel: Channel, admin_user: User, max_: User) -> None:
    members.add(actor=acting(admin_user), channel=channel, username="MAX", role=Role.VIEWER)
    assert roles(channel) == {"olga": "owner", "max": "viewer"}


@pytest.mark.parametrize("username", ["nobody", "gone", "", "max@example.org"])
def test_only_users_that_can_sign_in_are_added(channel: Channel, admin_user: User, max_: User, username: str) -> None:
    make_user("gone", is_active=False)
    with refused(404, "no_such_user", f"There is no user '{username}' on this hub"):
        members.add(actor=acting(admin_user), channel=channel, username=username, role=Role.VIEWER)


@pytest.mark.parametrize("username", ["max", "nobody", ""])
@pytest.mark.parametrize("team", ["", "mappers", "nowhere"])
def test_user_is_added_only_by_accepting(channel: Channel, olga: User, max_: User, username: str, team: str) -> None:
    """Check that the caller does not learn whether the user or the team exists."""
    make_team("mappers", olga, manager=max_)
    with refused(403, "invited_first", "Members have to accept an invitation first: send one."):
        members.add(actor=acting(olga), channel=channel, username=username, team=team, role=Role.VIEWER)


def test_member_added_again_is_refused(channel: Channel, admin_user: User, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    with refused(409, "is_member", "max is a member already: viewer"):
        members.add(actor=acting(admin_user), channel=channel, username="max", role=Role.OWNER)


@pytest.mark.parametrize("role", ["", "admin", "OWNER"])
def test_roles_are_the_four(channel: Channel, olga: User, max_: User, role: str) -> None:
    make_member(channel, max_)
    with refused(400, "bad_role", "expected one of: viewer, contributor, maintainer, owner"):
        members.change(actor=acting(olga), channel=channel, username="max", role=role)
    with refused(400, "bad_role", f"'{role}' is not a role"):
        members.add(actor=acting(olga), channel=channel, username="olga", role=role)


def test_a_role_is_changed(channel: Channel, admin_user: User, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    members.change(actor=acting(admin_user), channel=channel, username="max", role=Role.OWNER)
    assert roles(channel) == {"olga": "owner", "max": "owner"}
    assert last_event() == ("member.change", "max", {"from": "viewer", "to": "owner"})


def test_the_same_role_again_is_no_event(channel: Channel, olga: User) -> None:
    members.change(actor=acting(olga), channel=channel, username="olga", role=Role.OWNER)
    assert not AuditEvent.objects.exists()


def test_a_removed_members_keys_end_at_once(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    make_key(max_)
    by_key = Actor(user=max_, key=max_.keys.get())
    assert Permission.UPLOAD in permissions(by_key, channel)
    members.remove(actor=acting(olga), channel=channel, username="max")
    assert roles(channel) == {"olga": "owner"}
    assert last_event() == ("member.remove", "max", {"role": "contributor"})
    assert permissions(by_key, channel) == frozenset()


@pytest.mark.parametrize("role", Role.values)
def test_member_of_every_role_can_leave(channel: Channel, olga: User, max_: User, role: str) -> None:
    make_member(channel, max_, role)
    members.leave(actor=acting(max_), channel=channel)
    assert roles(channel) == {"olga": "owner"}
    assert last_event() == ("member.leave", "max", {"role": role})


def test_change_of_a_non_member_is_refused(channel: Channel, olga: User, sam: User) -> None:
    with refused(404, "no_such_member", "sam is not a member of 'demo'"):
        members.change(actor=acting(olga), channel=channel, username="sam", role=Role.VIEWER)
    with refused(404, "no_such_member", "sam is not a member of 'demo'"):
        members.remove(actor=acting(olga), channel=channel, username="sam")
    public = make_channel("open", is_private=False)
    with refused(404, "no_such_member", "sam is not a member of 'open'"):
        members.leave(actor=acting(sam), channel=public)


@pytest.mark.parametrize(
    "change",
    [
        lambda olga, channel: members.remove(actor=olga, channel=channel, username="olga"),
        lambda olga, channel: members.change(actor=olga, channel=channel, username="olga", role=Role.MAINTAINER),
        lambda olga, channel: members.leave(actor=olga, channel=channel),
    ],
)
def test_the_last_owner_stays(channel: Channel, olga: User, max_: User, change: Callable[..., None]) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    with refused(409, "last_owner", "olga is the last owner of 'demo', and a channel is never without one."):
        change(acting(olga), channel)


def test_an_owner_who_cannot_sign_in_does_not_count(channel: Channel, olga: User) -> None:
    make_member(channel, make_user("gone", is_active=False), Role.OWNER)
    with refused(409, "last_owner", "olga is the last owner"):
        members.leave(actor=acting(olga), channel=channel)
    members.remove(actor=acting(olga), channel=channel, username="gone")
    assert roles(channel) == {"olga": "owner"}


def test_an_administrator_leaves_no_channel_without_owner_either(channel: Channel, admin_user: User) -> None:
    with refused(409, "last_owner", "Make somebody else an owner first"):
        members.remove(actor=acting(admin_user), channel=channel, username="olga")


def test_only_owners_make_or_unmake_owners(channel: Channel, olga: User, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    make_member(channel, make_user("olaf"), Role.OWNER)
    sentence = "Only owners of 'demo' can add or remove owners"
    with refused(403, "owners_only", sentence):
        members.add(actor=acting(max_), channel=channel, username="sam", role=Role.OWNER)
    with refused(403, "owners_only", sentence):
        members.change(actor=acting(max_), channel=channel, username="max", role=Role.OWNER)
    with refused(403, "owners_only", sentence):
        members.change(actor=acting(max_), channel=channel, username="olaf", role=Role.VIEWER)
    with refused(403, "owners_only", sentence):
        members.remove(actor=acting(max_), channel=channel, username="olaf")


def test_maintainers_manage_the_others(channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    make_member(channel, sam, Role.VIEWER)
    members.change(actor=acting(max_), channel=channel, username="sam", role=Role.MAINTAINER)
    assert roles(channel)["sam"] == "maintainer"
    members.remove(actor=acting(max_), channel=channel, username="sam")
    assert roles(channel) == {"olga": "owner", "max": "maintainer"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CONTRIBUTOR])
def test_members_below_maintainer_may_not_manage(channel: Channel, max_: User, sam: User, role: str) -> None:
    make_member(channel, max_, role)
    with refused(403, "role_missing", "max may read 'demo' but not manage there"):
        members.add(actor=acting(max_), channel=channel, username="sam", role=Role.VIEWER)
    with refused(403, "role_missing", "not manage there"):
        members.change(actor=acting(max_), channel=channel, username="max", role=Role.OWNER)
    with refused(403, "role_missing", "not manage there"):
        members.remove(actor=acting(max_), channel=channel, username="olga")


def test_key_without_the_scope_may_not_manage(channel: Channel, olga: User, max_: User) -> None:
    make_key(olga)
    with refused(403, "scope_missing", "this needs a key with 'manage'"):
        members.add(actor=Actor(user=olga, key=olga.keys.get()), channel=channel, username="max", role=Role.VIEWER)


def test_key_may_not_change_members(channel: Channel, olga: User, max_: User) -> None:
    make_key(olga, scopes=(Permission.READ, Permission.MANAGE))
    actor = Actor(user=olga, key=olga.keys.get())
    with refused(403, "person_needed", "API keys and applications can't do this (member.add)"):
        members.add(actor=actor, channel=channel, username="max", role=Role.VIEWER)
    make_member(channel, max_)
    with refused(403, "person_needed", "API keys and applications can't do this (member.change)"):
        members.change(actor=actor, channel=channel, username="max", role=Role.OWNER)
    with refused(403, "person_needed", "API keys and applications can't do this (member.remove)"):
        members.remove(actor=actor, channel=channel, username="max")


def owner_names(channel: Channel) -> list[str]:
    (names,) = at_once(lambda: sorted(str(name) for name, role in roles(channel).items() if role == Role.OWNER))
    assert isinstance(names, list)
    return names


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_concurrent_removals_leave_one_owner(
    channel: Channel, olga: User, max_: User, tmp_path: Path, attempt: int
) -> None:
    make_member(channel, max_, Role.OWNER)
    with shared_database(tmp_path):
        results = at_once(
            lambda: members.remove(actor=acting(olga), channel=channel, username="max"),
            lambda: members.remove(actor=acting(max_), channel=channel, username="olga"),
        )
        assert sorted(map(str, results)) == ["None", "no_access"]
        assert len(owner_names(channel)) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_concurrent_leaves_keep_one_owner(
    channel: Channel, olga: User, max_: User, tmp_path: Path, attempt: int
) -> None:
    make_member(channel, max_, Role.OWNER)
    with shared_database(tmp_path):
        results = at_once(
            lambda: members.leave(actor=acting(olga), channel=channel),
            lambda: members.change(actor=acting(max_), channel=channel, username="max", role=Role.MAINTAINER) and None,
        )
        assert sorted(map(str, results)) == ["None", "last_owner"]
        assert len(owner_names(channel)) == 1


def test_team_member_has_the_permissions_of_the_team(channel: Channel, olga: User, max_: User) -> None:
    make_team("mappers", max_, manager=olga)
    members.add(actor=acting(olga), channel=channel, team="mappers", role=Role.VIEWER)
    assert last_event() == ("member.add", "team mappers", {"role": "viewer", "team": "mappers"})
    assert permissions(acting(max_), channel) == {Permission.READ}
    members.change(actor=acting(olga), channel=channel, team="mappers", role=Role.CONTRIBUTOR)
    assert Permission.UPLOAD in permissions(acting(max_), channel)
    members.remove(actor=acting(olga), channel=channel, team="mappers")
    assert last_event() == ("member.remove", "team mappers", {"role": "contributor", "team": "mappers"})
    assert permissions(acting(max_), channel) == frozenset()


def test_the_higher_role_counts(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    make_team_member(channel, make_team("mappers", max_), Role.MAINTAINER)
    make_team_member(channel, make_team("divers", max_), Role.CONTRIBUTOR)
    assert Permission.MANAGE in permissions(acting(max_), channel)
    assert Permission.OWN not in permissions(acting(max_), channel)


def test_team_as_an_owner_is_refused(channel: Channel, olga: User, max_: User) -> None:
    make_team("mappers", max_, manager=olga)
    with refused(400, "no_team_owns", "team mappers can't own 'demo': only a user can be an owner"):
        members.add(actor=acting(olga), channel=channel, team="mappers", role=Role.OWNER)
    make_team_member(channel, Team.objects.get())
    with refused(400, "no_team_owns", "Make the team a maintainer, or one of its people an owner."):
        members.change(actor=acting(olga), channel=channel, team="mappers", role=Role.OWNER)


def test_a_team_is_added_once_and_only_where_it_is(channel: Channel, olga: User, admin_user: User) -> None:
    make_team_member(channel, make_team("mappers"))
    with refused(409, "is_member", "team mappers is a member already: viewer"):
        members.add(actor=acting(admin_user), channel=channel, team="mappers", role=Role.VIEWER)
    with refused(404, "no_such_team", "There is no team 'olga' on this hub"):
        members.add(actor=acting(admin_user), channel=channel, team="olga", role=Role.VIEWER)
    with refused(404, "no_such_user", "There is no user 'mappers' on this hub"):
        members.add(actor=acting(admin_user), channel=channel, username="mappers", role=Role.VIEWER)
    with refused(404, "no_such_member", "divers is not a member of 'demo'"):
        members.remove(actor=acting(olga), channel=channel, team="divers")


def test_a_team_of_maintainers_does_not_save_a_channel_from_its_last_owner(
    channel: Channel, olga: User, max_: User
) -> None:
    make_team_member(channel, make_team("mappers", olga, max_), Role.MAINTAINER)
    with refused(409, "last_owner", "olga is the last owner of 'demo'"):
        members.leave(actor=acting(olga), channel=channel)
    make_member(channel, max_, Role.OWNER)
    members.leave(actor=acting(olga), channel=channel)
    assert Permission.MANAGE in permissions(acting(olga), channel)


def test_member_by_a_team_may_not_leave_the_channel(channel: Channel, max_: User) -> None:
    make_team_member(channel, make_team("divers", max_))
    make_team_member(channel, make_team("mappers", max_))
    with refused(409, "member_by_team", "through the team divers and mappers; leave the team to leave the channel."):
        members.leave(actor=acting(max_), channel=channel)


def test_member_becomes_an_owner_only_by_accepting(
    channel: Channel, olga: User, admin_user: User, max_: User, sam: User
) -> None:
    """Check strangers, members by a team, and lower roles: the first owner pays, so an owner must agree."""
    make_team_member(channel, make_team("mappers", make_user("eve")))
    make_member(channel, max_, Role.MAINTAINER)
    for username in ("sam", "nobody", "eve", "max"):
        with refused(409, "no_owner_yet", f"'{username}' is not an owner of 'demo'. Invite them as an owner first"):
            channels.transfer(actor=acting(olga), channel=channel, username=username)
    with refused(403, "invited_first", "Owners have to accept an invitation first: send one."):
        members.change(actor=acting(olga), channel=channel, username="max", role=Role.OWNER)
    channels.transfer(actor=acting(admin_user), channel=channel, username="sam")
    assert roles(channel)["sam"] == "owner"
