"""Uploaded files and their states by `/api/v1/channels/{channel}/uploads`."""

import pytest
from pytest_django import DjangoAssertNumQueries

from channels_app.models import ApiKey, Artifact, Channel, Removal, Role, User
from publishing.index import builds
from tests.builders import make_artifact, make_key, make_member, make_robot
from tests.callers import bearing, stored
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db


def states(caller: Caller, query: str = "") -> dict[str, str]:
    return {item["file_name"]: item["state"] for item in caller.get(f"channels/demo/uploads{query}").json()["items"]}


def test_uploads_have_their_states_newest_first(channel: Channel, olga: User) -> None:
    make_artifact(channel, "indexed", uploaded_by=olga)
    builds.build_channel(channel)
    make_artifact(channel, "published")
    make_artifact(channel, "yanked", removal=Removal.YANKED)
    assert list(states(by_session(olga)).items()) == [
        ("yanked-1.0-0.conda", "yanked"),
        ("published-1.0-0.conda", "published"),
        ("indexed-1.0-0.conda", "indexed"),
    ]
    item = by_session(olga).get("channels/demo/uploads").json()["items"][-1]
    artifact = Artifact.objects.get(package__name="indexed")
    assert (item["sha256"], item["size_bytes"], item["uploaded_by"]) == (artifact.sha256, 1000, "olga")
    assert item["url"] == f"/channels/demo/artifacts/noarch/{artifact.file_name}"


def test_uploads_with_filters_are_those_of_the_credential_and_of_the_paths(
    channel: Channel, olga: User, max_: User
) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    robot = make_robot(channel, olga)
    make_artifact(channel, "of-max", uploaded_by=max_)
    make_artifact(channel, "of-robot", uploaded_with=ApiKey.objects.get(**stored(robot)))
    assert list(states(by_key(max_, "upload"), "?mine=true")) == ["of-max-1.0-0.conda"]
    assert list(states(Caller(bearing(robot)), "?mine=true")) == ["of-robot-1.0-0.conda"]
    assert states(by_session(olga), "?mine=true") == {}
    paths = "?file=noarch/of-max-1.0-0.conda&file=linux-64/of-robot-1.0-0.conda"
    assert list(states(by_session(olga), paths)) == ["of-max-1.0-0.conda"]


def test_uploads_need_the_right_to_upload(channel: Channel, olga: User, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    assert code(by_session(max_).get("channels/demo/uploads")) == (403, "role_missing")
    assert code(by_key(olga, "read").get("channels/demo/uploads")) == (403, "scope_missing")
    assert code(by_key(sam, "upload").get("channels/demo/uploads")) == (403, "no_access")


def test_key_for_uploads_alone_sees_only_its_own(channel: Channel, olga: User) -> None:
    make_artifact(channel, "of-the-channel")
    caller = by_key(olga, "upload")
    assert code(caller.get("channels/demo/uploads")) == (403, "scope_missing")
    assert code(caller.get("channels/demo/uploads?file=noarch/of-the-channel-1.0-0.conda")) == (403, "scope_missing")
    assert states(caller, "?mine=true") == {}


def test_uploads_cost_as_many_queries_for_many_files(
    channel: Channel, olga: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        make_artifact(channel, f"p{number}", uploaded_by=olga)
    caller = Caller(bearing(make_key(olga)))
    with django_assert_max_num_queries(6):
        assert len(states(caller)) == 20
