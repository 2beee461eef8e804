"""Tests of rights through teams: they end with the next request, like those of a removed member."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allauth.idp.oidc.models import Token
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import api_keys
from channels_app.channels import queries
from channels_app.models import Channel, Member, Role, Team, TeamMember, User
from channels_app.people import members, teams
from hub.errors import HubError
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import (
    make_artifact,
    make_channel,
    make_key,
    make_member,
    make_package,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_team,
    make_team_member,
    make_token,
    make_user,
    received,
)
from tests.pages import Response, signed_in, text

pytestmark = pytest.mark.django_db

INDEX = "/demo/noarch/repodata.json"
UPLOAD = "/api/v1/upload/demo"
PAGE = "/channels/demo"


@pytest.fixture
def team(channel: Channel, olga: User, max_: User) -> Team:
    """Return a team of Olga's with Max as a member, which contributes to `channel`."""
    team = make_team("mappers", max_, manager=olga)
    make_team_member(channel, team, Role.CONTRIBUTOR)
    return team


def bearer(secret: str) -> Client:
    return Client(headers={"authorization": f"Bearer {secret}"})


def statuses(client: Client) -> tuple[int, int]:
    """Return the statuses of a read and of an empty upload: 400 if it is allowed."""
    upload: Response = client.post(UPLOAD, b"", "application/octet-stream", headers={"x-file-name": "a.conda"})
    return client.get(INDEX).status_code, upload.status_code


@pytest.fixture
def credentials(max_: User) -> dict[str, Client]:
    """Return Max's credentials for reading and uploading."""
    return {"key": bearer(make_key(max_)), "token": bearer(make_token(max_, "channel:read", "channel:upload"))}


def remove_from_team(team: Team, max_: User, olga: User) -> None:
    teams.remove(user=olga, team=team, username="max")


def remove_team(team: Team, max_: User, olga: User) -> None:
    members.remove(actor=Actor(user=olga), channel=Channel.objects.get(), team="mappers")


def delete_team(team: Team, max_: User, olga: User) -> None:
    teams.delete(user=olga, team=team)


def leave_team(team: Team, max_: User, olga: User) -> None:
    teams.remove(user=max_, team=team, username="max")


def remove_member(team: Team, max_: User, olga: User) -> None:
    members.remove(actor=Actor(user=olga), channel=Channel.objects.get(), username="max")


def leave_channel(team: Team, max_: User, olga: User) -> None:
    members.leave(actor=Actor(user=max_), channel=Channel.objects.get())


End = Callable[[Team, User, User], None]
BY_TEAM: list[End] = [remove_from_team, remove_team, delete_team, leave_team]
BY_SELF: list[End] = [remove_member, leave_channel]


@pytest.mark.parametrize("end", [*BY_TEAM, *BY_SELF])
def test_reading_and_uploading_end_with_the_next_request(
    team: Team, channel: Channel, olga: User, max_: User, credentials: dict[str, Client], end: End
) -> None:
    if end in BY_SELF:
        make_member(channel, max_, Role.CONTRIBUTOR)
        TeamMember.objects.filter(user=max_).delete()
    for name, client in credentials.items():
        assert statuses(client) == (200, 400), name
    end(team, max_, olga)
    for name, client in credentials.items():
        assert statuses(client) == (403, 403), name


@pytest.mark.parametrize("end", [*BY_TEAM, *BY_SELF])
def test_pages_end_with_the_next_request(team: Team, channel: Channel, olga: User, max_: User, end: End) -> None:
    if end in BY_SELF:
        make_member(channel, max_, Role.CONTRIBUTOR)
        TeamMember.objects.filter(user=max_).delete()
    client = signed_in(max_)
    assert client.get(PAGE).status_code == client.get(f"{PAGE}/settings/upload").status_code == 200
    end(team, max_, olga)
    assert client.get(PAGE).status_code == client.get(f"{PAGE}/settings/upload").status_code == 404
    assert PAGE not in text(client.get("/channels?show=all"))


def test_a_deactivated_users_everything_ends(team: Team, max_: User, credentials: dict[str, Client]) -> None:
    session = signed_in(max_)
    User.objects.filter(pk=max_.pk).update(is_active=False)
    assert session.get(PAGE).status_code == 404
    for name, client in credentials.items():
        assert statuses(client) == (401, 401), name


def test_channel_keys_and_short_lived_tokens_stay_when_their_creator_is_removed(
    channel: Channel, olga: User, max_: User
) -> None:
    make_member(channel, max_, Role.OWNER)
    robot = bearer(make_robot(channel, max_))
    short_lived = bearer(make_short_lived_token(make_publisher(channel, may_read=True))[1])
    members.remove(actor=Actor(user=olga), channel=channel, username="max")
    User.objects.filter(pk=max_.pk).update(is_active=False)
    assert statuses(robot) == statuses(short_lived) == (200, 400)


@pytest.mark.parametrize("end", [remove_from_team, remove_team, delete_team])
@pytest.mark.parametrize("means", ["session", "key", "token"])
def test_a_running_upload_ends_too(
    team: Team,
    channel: Channel,
    olga: User,
    max_: User,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: End,
    means: str,
) -> None:
    actor = {
        "session": lambda: Actor(user=max_),
        "key": lambda: Actor(user=max_, key=api_keys.look_up(make_key(max_))),
        "token": lambda: Actor(
            user=max_,
            token=Token.objects.lookup(Token.Type.ACCESS_TOKEN, make_token(max_, "channel:read", "channel:upload")),
        ),
    }[means]()
    put = upload.put

    def put_and_lose(*arguments: Any) -> None:
        put(*arguments)
        end(team, max_, olga)

    monkeypatch.setattr(upload, "put", put_and_lose)
    with pytest.raises(HubError) as caught:
        upload.publish(actor=actor, channel=channel, received=received(make_conda(tmp_path)), force=False)
    assert (caught.value.status, caught.value.code) == (403, "no_access")
    assert not channel.artifacts.exists()


def test_a_team_that_gets_a_lower_role_uploads_no_more(
    team: Team, channel: Channel, olga: User, credentials: dict[str, Client]
) -> None:
    members.change(actor=Actor(user=olga), channel=channel, team="mappers", role=Role.VIEWER)
    for name, client in credentials.items():
        assert statuses(client) == (200, 403), name


def test_where_one_is_by_a_team_is_mine_with_the_highest_role(team: Team, channel: Channel, max_: User) -> None:
    make_team_member(channel, make_team("divers", max_), Role.VIEWER)
    make_channel("open", is_private=False)
    (card,) = queries.channel_cards(Actor(user=max_), mine=True)
    assert (card.name, card.role) == ("demo", "contributor")  # type: ignore[attr-defined]
    page = text(signed_in(max_).get("/channels"))
    assert "</svg>Contributor</span>" in page
    assert 'My channels <span class="count">1</span>' in page


def test_team_role_gives_anonymous_users_no_access(channel: Channel, max_: User, olga: User) -> None:
    public = make_channel("open", is_private=False)
    make_team_member(public, make_team("mappers", max_))
    make_team_member(public, make_team("divers", max_))
    robot = Actor(key=api_keys.look_up(make_robot(channel, olga)))
    for actor in (ANONYMOUS, robot):
        assert {card.role for card in queries.channel_cards(actor)} == {None}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path",
    [
        PAGE,
        f"{PAGE}/feed",
        f"{PAGE}/logo",
        f"{PAGE}/packages/strata",
        f"{PAGE}/packages/strata/feed",
        f"{PAGE}/artifacts/noarch/strata-1.0-0.conda",
        f"{PAGE}/settings/upload",
        f"{PAGE}/leave",
    ],
)
def test_team_members_see_the_pages_of_channel_members(
    team: Team, channel: Channel, max_: User, sam: User, path: str
) -> None:
    Channel.objects.update(logo=b"PNG")
    make_artifact(channel, "strata")
    assert signed_in(max_).get(path).status_code == 200
    assert signed_in(sam).get(path).status_code == 404


def test_search_and_home_find_channels_of_a_team(team: Team, channel: Channel, max_: User, sam: User) -> None:
    make_package(channel, "strata", updated_at=timezone.now())
    for path in ("/search?q=demo", "/"):
        assert 'href="/channels/demo' in text(signed_in(max_).get(path)), path
        assert 'href="/channels/demo' not in text(signed_in(sam).get(path)), path


@pytest.mark.parametrize(("role", "status"), [(Role.CONTRIBUTOR, 403), (Role.MAINTAINER, 200)])
def test_activity_and_members_are_for_teams_that_manage(team: Team, max_: User, role: str, status: int) -> None:
    Member.objects.filter(team=team).update(role=role)
    client = signed_in(max_)
    assert client.get(f"{PAGE}/settings/activity").status_code == status
    assert client.get(f"{PAGE}/settings/members").status_code == status


def test_a_deleted_channel_is_restored_by_its_owner_not_by_a_team(team: Team, max_: User, olga: User) -> None:
    Member.objects.filter(team=team).update(role=Role.MAINTAINER)
    Channel.objects.update(deleted_at=timezone.now())
    assert [channel.name for channel in queries.deleted_channels(Actor(user=olga))] == ["demo"]
    assert not queries.deleted_channels(Actor(user=max_))
    assert signed_in(max_).get(f"{PAGE}/restore").status_code == 404


@pytest.mark.parametrize("count", [2, 20])
def test_many_teams_cost_no_more_queries_than_few(
    max_: User, olga: User, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for n in range(count):
        team = make_team(f"team-{n}", max_, make_user(f"mate-{n}"))
        for m in range(2):
            make_team_member(Channel.objects.get_or_create(name=f"channel-{n - m}")[0], team)
    actor = Actor(user=max_)
    with django_assert_num_queries(1):
        assert len(queries.channel_cards(actor, mine=True)) == count + 1
