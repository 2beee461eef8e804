"""Waiting for the index by `/api/v1/channels/{channel}/wait`, without a server that holds requests."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor
from channels_app.models import AccessRevision, Artifact, Channel, Label, Removal, Role, User
from hub.server.holding import HOLD
from publishing.index import api, builds, marks, waiting
from publishing.models import SubdirIndex
from publishing.removal import removal
from tests.builders import make_artifact, make_channel, make_member
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db


@pytest.fixture
def artifact(channel: Channel) -> Artifact:
    return make_artifact(channel)


@pytest.fixture
def caller(olga: User) -> Caller:
    return by_key(olga, "read")


def by_checksum(artifact: Artifact, more: str = "") -> str:
    return f"channels/{artifact.channel}/wait?sha256={artifact.sha256}{more}"


def test_wait_for_indexed_file_returns_it_with_its_build(caller: Caller, artifact: Artifact) -> None:
    builds.build_channel(artifact.channel)
    index = SubdirIndex.objects.get(channel=artifact.channel, subdir="noarch")
    for path in (
        by_checksum(artifact),
        f"channels/demo/wait?sha256={artifact.sha256.upper()}",
        f"channels/demo/wait?subdir=noarch&file_name={artifact.file_name}",
    ):
        [found] = caller.get(path).json()["files"]
        assert found.pop("built_at")
        assert found == {
            "subdir": "noarch",
            "file_name": artifact.file_name,
            "sha256": artifact.sha256,
            "label": "main",
            "build_number": index.builds,
        }


def test_wait_for_several_files_ends_when_all_are_indexed(caller: Caller, artifact: Artifact) -> None:
    builds.build_channel(artifact.channel)
    other = make_artifact(artifact.channel, "other", subdir="linux-64")
    both = by_checksum(artifact, f"&sha256={other.sha256}")
    assert code(caller.get(both)) == (408, "not_indexed_yet")
    builds.build_channel(artifact.channel)
    assert {file["subdir"] for file in caller.get(both).json()["files"]} == {"noarch", "linux-64"}


def test_wait_for_stale_file_asks_to_come_back(caller: Caller, artifact: Artifact) -> None:
    response = caller.get(by_checksum(artifact, "&timeout_s=0"))
    assert code(response) == (408, "not_indexed_yet")
    assert response.headers["Retry-After"] == "1"


def test_wait_for_yanked_file_is_refused_and_deleted_one_is_unknown(
    caller: Caller, artifact: Artifact, olga: User
) -> None:
    removal.yank(actor=Actor(user=olga), artifact=artifact, reason="")
    assert code(caller.get(by_checksum(artifact))) == (409, "not_listed")
    Artifact.objects.update(removal=Removal.DELETED)
    assert code(caller.get(by_checksum(artifact))) == (404, "no_such_file")


def test_wait_for_unknown_file_is_refused(caller: Caller, artifact: Artifact, olga: User) -> None:
    elsewhere = make_artifact(make_channel("else", owner=olga), "elsewhere")
    for query in (f"sha256={elsewhere.sha256}", "subdir=noarch&file_name=none-1.0-0.conda"):
        assert code(caller.get(f"channels/demo/wait?{query}")) == (404, "no_such_file")
    assert code(caller.get(by_checksum(artifact, f"&sha256={elsewhere.sha256}"))) == (404, "no_such_file")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "file_missing"),
        ("subdir=noarch", "file_missing"),
        ("sha256=abc", "invalid_value"),
        (f"sha256={'0' * 64}&timeout_s=51", "invalid_value"),
        (f"sha256={'0' * 64}&timeout_s=nan", "invalid_value"),
        (f"sha256={'0' * 64}&timeout_s=-1", "invalid_value"),
    ],
)
def test_wait_with_bad_query_is_refused(caller: Caller, channel: Channel, query: str, expected: str) -> None:
    assert code(caller.get(f"channels/demo/wait?{query}")) == (400, expected)


def test_wait_without_the_right_to_read_is_refused_alike_for_any_file(
    artifact: Artifact, olga: User, sam: User, max_: User
) -> None:
    for path in (by_checksum(artifact), f"channels/demo/wait?sha256={'0' * 64}"):
        assert code(by_key(olga, "upload").get(path)) == (403, "no_access")
        assert code(by_key(sam, "read").get(path)) == (403, "no_access")
        assert code(by_key(sam, "read").get(path.replace("demo", "void"))) == (403, "no_access")
    make_member(artifact.channel, max_, Role.VIEWER)
    assert code(by_session(max_).get(by_checksum(artifact))) == (408, "not_indexed_yet")


@pytest.mark.django_db(transaction=True)  # a build gives its connection back
def test_name_that_changes_all_the_time_is_ready_with_the_build_of_its_awaited_change(artifact: Artifact) -> None:
    channel, place = artifact.channel, waiting.Place([artifact.sha256])
    pending = waiting.pending(waiting.files(channel, place), {})
    index = SubdirIndex.objects.get(channel=channel, subdir="noarch")
    make_artifact(channel, version="2.0")  # the name is stale again while the build runs
    assert waiting.are_ready([pending]) == [False]
    builds.build(index)
    index.refresh_from_db()
    assert index.built_revision < index.requested_revision
    assert waiting.are_ready([pending]) == [True]
    assert waiting.pending(waiting.files(channel, place), {})
    assert not waiting.pending(waiting.files(channel, place), pending)


def test_waits_of_many_cost_one_query(artifact: Artifact, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    pending = waiting.pending(waiting.files(artifact.channel, waiting.Place([artifact.sha256])), {})
    with django_assert_num_queries(1):
        assert waiting.are_ready([pending] * 200) == [False] * 200


@pytest.mark.parametrize(("most", "is_held"), [(2, True), (1, False)])
def test_wait_for_more_names_than_a_held_request_may_have_is_answered_at_once(
    caller: Caller, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, most: int, is_held: bool
) -> None:
    monkeypatch.setattr(api, "HELD_NAMES_MAX", most)
    other = make_artifact(artifact.channel, "other")
    response = caller.get(by_checksum(artifact, f"&sha256={other.sha256}"))
    assert code(response) == (408, "not_indexed_yet")
    assert (HOLD in response.wsgi_request.META) == is_held


@pytest.mark.django_db(transaction=True)
def test_wait_with_cached_decision_costs_one_query_until_the_right_ends(
    caller: Caller, artifact: Artifact, olga: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    AccessRevision.objects.get_or_create(pk=1)  # an earlier test may have flushed it
    assert caller.get(by_checksum(artifact)).status_code == 408
    with django_assert_num_queries(1):
        assert caller.get(by_checksum(artifact)).status_code == 408
    artifact.channel.members.filter(user=olga).delete()
    assert code(caller.get(by_checksum(artifact))) == (403, "no_access")


def test_indexes_list_builds_and_lags(caller: Caller, artifact: Artifact) -> None:
    index = SubdirIndex.objects.get(channel=artifact.channel, subdir="noarch")
    index.requested_at = timezone.now() - timedelta(seconds=90)
    index.save()
    [stale] = caller.get("channels/demo/indexes").json()["items"]
    assert 90 <= stale.pop("lag_s") < 100
    assert stale == {
        "subdir": "noarch",
        "label": "main",
        "build_number": 0,
        "built_at": None,
        "is_current": False,
    }
    builds.build_channel(artifact.channel)
    whole, current = caller.get("channels/demo/indexes").json()["items"]
    assert (whole["subdir"], current["subdir"]) == ("", "noarch")
    assert (current["build_number"], current["lag_s"], current["is_current"]) == (1, 0.0, True)


def test_wait_finds_the_indexes_of_a_file_without_reading_those_of_other_labels(channel: Channel) -> None:
    artifacts = [make_artifact(channel, f"p{number}") for number in range(60)]
    labels = Label.objects.bulk_create(Label(channel=channel, name=artifact.package.name) for artifact in artifacts)
    for artifact, label in zip(artifacts, labels, strict=True):
        label.artifacts.add(artifact)
        marks.mark_stale(channel, "noarch", [label.name], label=label.name)
    how = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # it reads small tables whole
        for kind in (waiting.IN_MAIN, waiting.IN_LABELS):
            sql = waiting.FILES.format(**kind, condition="a.subdir = %s AND a.file_name = %s")
            cursor.execute(f"{how} {sql}", [channel.pk, "noarch", artifacts[0].file_name])
            plan = str(cursor.fetchall())
            assert not any(word in plan for word in ("SCAN", "Seq Scan")), plan
    assert len(waiting.files(channel, waiting.Place((), "noarch", artifacts[0].file_name))) == 2
