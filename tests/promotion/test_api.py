"""The REST API of promotions."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels_app.models import Channel, Role, User
from hub.storage import store
from publishing.models import Promotion, SubdirIndex
from tests.builders import make_artifact, make_channel, make_key, make_member, make_robot
from tests.callers import bearing
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db
PATH = "channels/demo/promotions"
TOOLS = {"from": "staging", "filter": {"name": "tool"}}


@pytest.fixture
def promoter(channel: Channel, olga: User) -> Caller:
    return by_key(olga, "read", "upload", "delete")


def changes(answer: Any) -> dict[str, str]:
    return {each["file_name"]: each["change"] for each in answer.json()["files"]}


def test_promotion_of_a_filter_is_created_and_found(staging: Channel, promoter: Caller) -> None:
    answer = promoter.post(PATH, TOOLS | {"reason": "Tested."})
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert changes(answer) == {"tool-1.0-0.conda": "new", "tool-2.0-0.conda": "new"}
    assert (made["from"], made["state"], made["reason"], made["file_count"]) == ("staging", "done", "Tested.", 2)
    assert promoter.get(answer.headers["Location"].removeprefix("/api/v1/")).json() == made
    [listed] = promoter.get(PATH).json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "files"}


def test_promotion_gives_the_label(staging: Channel, channel: Channel, promoter: Caller) -> None:
    promoter.post(PATH, TOOLS | {"filter": {"version": "1.0"}})
    answer = promoter.post(PATH, TOOLS | {"label": "rc"})
    assert (answer.status_code, answer.json()["label"]) == (201, "rc")
    assert changes(answer) == {"tool-1.0-0.conda": "labeled", "tool-2.0-0.conda": "new"}
    assert promoter.get(PATH).json()["items"][1]["label"] == "main"
    for label in ("", "a b", "RC"):
        for more in ({}, {"dry_run": True}):
            assert code(promoter.post(PATH, TOOLS | {"label": label} | more)) == (422, "bad_label")


def test_promotion_of_named_files_moves_them(staging: Channel, promoter: Caller) -> None:
    answer = promoter.post(PATH, {"from": "staging", "files": ["noarch/lib-1.0-0.conda"], "move": True})
    assert changes(answer) == {"lib-1.0-0.conda": "new"}
    assert staging.artifacts.get(package__name="lib").removal == "deleted"
    missing = {"from": "staging", "files": ["noarch/lib-1.0-0.conda", "noarch/other-1.0-0.conda"]}
    assert code(promoter.post(PATH, missing)) == (404, "no_such_file")


def test_dry_run_names_refusals_without_a_change(staging: Channel, channel: Channel, promoter: Caller) -> None:
    make_artifact(channel, "tool", "2.0")
    before = SubdirIndex.objects.filter(channel=channel).values("requested_revision").get()
    answer = promoter.post(PATH, TOOLS | {"dry_run": True})
    assert answer.status_code == 200
    assert changes(answer) == {"tool-1.0-0.conda": "new", "tool-2.0-0.conda": None}
    assert [each["code"] for each in answer.json()["files"]] == ["", "exists"]
    assert not Promotion.objects.exists()
    assert SubdirIndex.objects.filter(channel=channel).values("requested_revision").get() == before
    assert code(promoter.post(PATH, TOOLS)) == (409, "exists")


def test_rollback_is_done_once(staging: Channel, promoter: Caller) -> None:
    place = f"{PATH}/{promoter.post(PATH, TOOLS).json()['id']}"
    assert promoter.post(f"{place}/rollback", {"reason": "Broken."}).json()["state"] == "rolled_back"
    assert code(promoter.post(f"{place}/rollback")) == (409, "not_done")
    assert code(promoter.post(f"{PATH}/0/rollback")) == (404, "no_such_promotion")


def test_rollback_requires_the_right_to_delete(
    staging: Channel, promoter: Caller, channel: Channel, max_: User
) -> None:
    place = f"{PATH}/{promoter.post(PATH, TOOLS).json()['id']}"
    make_member(channel, max_, Role.CONTRIBUTOR)
    assert code(by_session(max_).post(f"{place}/rollback")) == (403, "role_missing")


@pytest.mark.parametrize(
    "wanted",
    [
        {"from": "staging"},
        {"from": "staging", "files": []},
        {"from": "staging", "filter": {}},
        {"from": "staging", "files": ["noarch/a"], "filter": {"name": "tool"}},
        {"filter": {"name": "tool"}},
        TOOLS | {"froms": 1},
    ],
)
def test_promotion_without_one_selection_is_refused(staging: Channel, promoter: Caller, wanted: dict[str, Any]) -> None:
    assert code(promoter.post(PATH, wanted)) == (422, "invalid_value")


def test_promotion_from_the_channel_itself_is_refused(channel: Channel, promoter: Caller) -> None:
    assert code(promoter.post(PATH, TOOLS | {"from": "demo"})) == (422, "same_channel")


def test_hidden_and_missing_source_get_the_same_error(staging: Channel, channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    caller = by_session(max_)
    answers = [caller.post(PATH, TOOLS | {"from": name}) for name in ("staging", "nothere")]
    assert [code(answer) for answer in answers] == [(403, "no_access")] * 2
    assert answers[0].json()["detail"].replace("staging", "nothere") == answers[1].json()["detail"]


def test_source_is_hidden_from_those_who_may_not_see_it(
    staging: Channel, promoter: Caller, channel: Channel, max_: User
) -> None:
    promoter.post(PATH, TOOLS)
    make_member(channel, max_, Role.CONTRIBUTOR)
    [listed] = by_session(max_).get(PATH).json()["items"]
    assert listed["from"] is None


def test_key_with_name_patterns_promotes_only_those(staging: Channel, channel: Channel, olga: User) -> None:
    scopes = ("read", "upload", "delete")
    caller = Caller(bearing(make_key(olga, scopes=scopes, package_globs=["to*"])))
    assert code(caller.post(PATH, {"from": "staging", "filter": {"version": "1.0"}})) == (403, "name_not_allowed")
    assert caller.post(PATH, TOOLS).status_code == 201


def test_channel_key_of_the_target_reads_no_private_source(staging: Channel, channel: Channel, olga: User) -> None:
    caller = Caller(bearing(make_robot(channel, olga)))
    assert code(caller.post(PATH, TOOLS)) == (403, "no_access")
    Channel.objects.filter(pk=staging.pk).update(is_private=False)
    assert caller.post(PATH, TOOLS).status_code == 201


def test_promotions_are_listed_to_those_who_may_upload_and_read(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    assert code(by_session(max_).get(PATH)) == (403, "role_missing")
    assert code(by_key(olga, "upload").get(PATH)) == (403, "scope_missing")


def test_list_of_promotions_makes_a_constant_number_of_queries(
    staging: Channel, promoter: Caller, django_assert_max_num_queries: Any
) -> None:
    for name in ("tool", "lib"):
        promoter.post(PATH, TOOLS | {"filter": {"name": name}})
    with django_assert_max_num_queries(8):
        assert len(promoter.get(PATH).json()["items"]) == 2


def test_promotion_makes_a_constant_number_of_queries(channel: Channel, olga: User) -> None:
    source = make_channel("many", owner=olga)
    promoter, counts = by_key(olga, "read", "upload"), []
    for name, files in (("few", 3), ("many", 30)):
        for number in range(files):
            store().put(str(make_artifact(source, name, f"1.{number}", size_bytes=1)), b"x")
        with CaptureQueriesContext(connection) as queries:
            answer = promoter.post(PATH, {"from": "many", "filter": {"name": name}})
        assert answer.status_code == 201
        counts.append(len(queries))
    assert counts[1] <= counts[0]


def test_rule_is_added_changed_listed_and_removed(channel: Channel, olga: User) -> None:
    caller, place = by_session(olga), "channels/demo/promotion-rules/staging"
    added = caller.put(place, {"needs": "manage", "needs_approval": True})
    rule = {"source": "staging", "needs": "manage", "needs_approval": True, "keeps_attestations": False}
    assert (added.status_code, added.json()) == (200, rule)
    assert caller.get(place).json() == rule
    assert caller.put(place, {}).json()["needs"] == "upload"
    assert [each["source"] for each in caller.get("channels/demo/promotion-rules").json()["items"]] == ["staging"]
    assert caller.delete(place).status_code == 204
    assert code(caller.get(place)) == code(caller.delete(place)) == (404, "no_such_promotion_rule")
    assert code(caller.put(place.replace("staging", "demo"), {})) == (422, "bad_promotion_rule")
    assert code(caller.put(place, {"needs": "read"})) == (422, "invalid_value")
    assert code(by_key(olga, "read", "manage").put(place, {})) == (403, "person_needed")


def test_waiting_promotion_is_approved_or_refused_by_another_user(
    staging: Channel, channel: Channel, promoter: Caller, olga: User, max_: User
) -> None:
    for where in (staging, channel):
        make_member(where, max_, Role.MAINTAINER)
    by_session(olga).put("channels/demo/promotion-rules/*", {"needs_approval": True})
    places = []
    for _ in range(2):
        answer = promoter.post(PATH, TOOLS)
        assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
        places.append(f"{PATH}/{answer.json()['id']}")
    assert code(promoter.post(f"{places[0]}/approve")) == (403, "person_needed")
    assert code(by_session(olga).post(f"{places[0]}/approve")) == (403, "second_person_needed")
    approved = by_session(max_).post(f"{places[0]}/approve").json()
    assert (approved["state"], approved["created_by"], approved["decided_by"]) == ("done", "olga", "max")
    assert by_session(max_).post(f"{places[1]}/refuse", {"reason": "Twice."}).json()["failure"] == "Twice."
    assert code(by_session(max_).post(f"{places[1]}/approve")) == (409, "not_waiting")
