"""Rules of all endpoints: credentials, problems, pages of lists, conditional requests, idempotency keys."""

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from channels_app.models import Channel, IdempotentReply, RateCount, User
from channels_app.rest import idempotency
from channels_app.rest.document import document
from hub import encryption
from tests.builders import make_artifact, make_channel, make_key, make_member, make_user
from tests.callers import bearing
from tests.pages import signed_in
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db
ETAG = '"0123456789abcdef"'


def test_list_with_cursor_returns_each_entry_once_although_others_are_added(olga: User) -> None:
    for number in range(7):
        make_channel(f"channel-{number}", owner=olga)
    caller, found, path = by_session(olga), [], "channels?limit=3"
    while path:
        page = caller.get(path).json()
        found += [channel["name"] for channel in page["items"]]
        make_channel(f"added-{len(found)}", owner=olga)
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    assert found == [f"channel-{number}" for number in range(7)]


@pytest.mark.parametrize(
    "query",
    ["cursor=x", "cursor=cD0A", "cursor=bz05OTk5OTk5OTk5OTk5OTk5OTk5", "limit=0", "limit=101", "limit=x", "limit="],
)
def test_list_with_bad_page_is_refused(olga: User, query: str) -> None:
    status, _ = code(by_session(olga).get(f"channels?{query}"))
    assert status == 400


def test_read_with_current_etag_is_not_modified_until_it_changes(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    etag = caller.get("channels/demo").headers["ETag"]
    assert caller.get("channels/demo", **{"If-None-Match": etag}).status_code == 304
    Channel.objects.update(description="new")
    assert caller.get("channels/demo", **{"If-None-Match": etag}).status_code == 200


def test_change_with_old_etag_is_refused_and_with_current_one_is_done(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    etag = caller.get("channels/demo").headers["ETag"]
    first = caller.patch("channels/demo", {"description": "first"}, **{"If-Match": etag})
    assert first.json()["description"] == "first"
    second = caller.patch("channels/demo", {"description": "second"}, **{"If-Match": etag})
    assert code(second) == (412, "changed_meanwhile")
    assert Channel.objects.get().description == "first"
    last = caller.patch("channels/demo", {"description": "last"}, **{"If-Match": second.headers["ETag"]})
    assert last.json()["description"] == "last"


def test_head_returns_the_headers_of_get(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    read, head = caller.get("channels/demo"), caller.call("HEAD", "channels/demo")
    assert head.content == b""
    assert head.headers["ETag"] == read.headers["ETag"]


def test_wrong_method_is_a_problem_that_names_the_methods(olga: User) -> None:
    answer = by_session(olga).call("TRACE", "channels")
    assert code(answer) == (405, "wrong_method")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize("body", ["", "{", "[]", '{"name": 1}', '{"name": "\\ud800"}', "null"])
def test_malformed_body_is_a_problem(olga: User, body: str) -> None:
    answer = signed_in(olga).generic("POST", "/api/v1/channels", body, content_type="application/json")
    assert code(answer)[0] in (400, 422)


@pytest.mark.parametrize(
    ("method", "path", "body", "detail"),
    [
        ("POST", "channels", {"nam": "fresh"}, "body.name: Field required."),
        ("POST", "channels/demo/removals", {"action": "yank", "filter": {"nam": "x"}}, "body.filter.nam: Extra inputs"),
        ("POST", "channels/demo/removals", {"action": "yank", "filter": {}}, "body.filter: expected at least one"),
        ("POST", "channels/demo/members", {"role": "viewer"}, "body: expected one of username, email and team."),
        ("GET", "channels?limit=0", None, "query.limit: Input should"),
        ("GET", "channels/demo/wait?sha256=abc", None, "query.sha256.0: String should"),
        ("GET", "channels/demo/activity?since=today", None, "query.since: expected a time"),
    ],
)
def test_invalid_value_is_named_by_its_place_in_the_request(
    channel: Channel, olga: User, method: str, path: str, body: dict[str, Any] | None, detail: str
) -> None:
    answer = by_session(olga).call(method, path, body)
    assert code(answer)[1] == "invalid_value"
    assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "channels/demo", None),
        ("POST", "channels/demo/transfer", {"username": "sam"}),
        ("POST", "channels/demo/artifacts/noarch/demo-1.0-0.conda/release", None),
    ],
)
def test_act_of_an_owner_by_a_key_gets_person_needed(
    channel: Channel, olga: User, sam: User, method: str, path: str, body: dict[str, str] | None
) -> None:
    make_artifact(channel)
    answer = by_key(olga, "read", "upload", "delete", "manage").call(method, path, body)
    assert code(answer) == (403, "person_needed")


@pytest.mark.parametrize("member", ["is_public", "Description"])
def test_change_with_a_misspelt_member_is_refused_and_names_it(channel: Channel, olga: User, member: str) -> None:
    answer = by_session(olga).patch("channels/demo", {"description": "new", member: "x"})
    assert code(answer) == (422, "invalid_value")
    assert member in answer.json()["detail"]
    assert Channel.objects.get().description == ""


def test_every_body_refuses_unknown_members() -> None:
    operations = [each for methods in document()["paths"].values() for each in methods.values()]
    contents = [each["requestBody"]["content"] for each in operations if "requestBody" in each]
    bodies = [json.dumps(content["application/json"]) for content in contents if "application/json" in content]
    names = {name for body in bodies for name in re.findall(r"schemas/(\w+)", body)}
    schemas = document()["components"]["schemas"]
    assert len(names) >= 15
    assert {name for name in names if schemas[name].get("additionalProperties") is not False} == set()


def test_text_of_an_escape_is_no_nul(olga: User) -> None:
    added = by_session(olga).post("channels", {"name": "fresh", "description": "Write \\u0000."})
    assert (added.status_code, added.json()["description"]) == (201, "Write \\u0000.")


@pytest.mark.parametrize("body", ["[]", '"text"', "1", "null", "NaN"])
def test_body_that_is_no_object_is_refused_although_all_members_are_optional(
    channel: Channel, olga: User, body: str
) -> None:
    answer = signed_in(olga).generic("PATCH", "/api/v1/channels/demo", body, content_type="application/json")
    assert code(answer) == (400, "bad_json")


def test_value_with_nul_is_refused_under_each_content_type(olga: User) -> None:
    body = '{"name": "fresh", "description": "\\u0000"}'
    answer = signed_in(olga).generic("POST", "/api/v1/channels", body, content_type="text/plain")
    assert code(answer) == (400, "nul")


def test_value_with_nul_is_refused(olga: User) -> None:
    caller = by_session(olga)
    assert code(caller.get("channels?search=a%00b")) == (400, "nul")
    assert code(caller.post("channels", {"name": "fresh", "description": "\0"})) == (400, "nul")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_body_with_nul_of_any_type_is_refused(olga: User, content_type: str, encoding: str) -> None:
    body = '{"name": "fresh", "description": "\\u0000"}'.encode(encoding)
    answer = signed_in(olga).generic("POST", "/api/v1/channels", body, content_type=content_type)
    assert code(answer)[0] == 400
    assert not Channel.objects.exists()


def test_same_idempotency_key_returns_the_first_response(olga: User) -> None:
    caller = by_session(olga)
    first, again = (caller.post("channels", {"name": "fresh"}, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert Channel.objects.count() == 1


def test_reply_that_a_new_secret_key_can_not_decrypt_is_refused(olga: User) -> None:
    headers = {"Idempotency-Key": "one"}
    first = by_session(olga).post("channels", {"name": "fresh"}, **headers)
    assert first.status_code == 201
    IdempotentReply.objects.update(body=encryption.encrypt("{}", purpose=b"another"))
    again = by_session(olga).post("channels", {"name": "fresh"}, **headers)
    assert code(again) == (409, "reply_unreadable")
    assert Channel.objects.count() == 1


def test_idempotency_key_of_another_request_is_refused(olga: User) -> None:
    caller = by_session(olga)
    caller.post("channels", {"name": "fresh"}, **{"Idempotency-Key": "one"})
    other = caller.post("channels", {"name": "other"}, **{"Idempotency-Key": "one"})
    assert code(other) == (422, "idempotency_key_reused")


def test_idempotency_key_of_another_user_is_independent(olga: User) -> None:
    make_user("eve")
    headers = {"Idempotency-Key": "one"}
    by_session(olga).post("channels", {"name": "fresh"}, **headers)
    answer = by_session(User.objects.get(username="eve")).post("channels", {"name": "fresh"}, **headers)
    assert answer.status_code >= 400
    assert "Idempotency-Replayed" not in answer.headers


def test_stored_reply_of_a_channel_is_refused_after_its_sender_lost_all_rights(channel: Channel, olga: User) -> None:
    member = make_member(channel, make_user("eve"), role="maintainer")
    make_artifact(channel)
    caller, headers = by_key(User.objects.get(username="eve"), "read", "delete"), {"Idempotency-Key": "one"}
    wanted = {"action": "yank", "filter": {"name": "demo"}, "dry_run": True}
    for _ in range(2):
        assert caller.post("channels/demo/removals", wanted, **headers).json()["files"]
    member.delete()
    assert code(caller.post("channels/demo/removals", wanted, **headers)) == (403, "no_access")


def test_leaving_a_channel_again_with_the_same_idempotency_key_returns_204(channel: Channel, olga: User) -> None:
    make_member(channel, make_user("eve"))
    caller = by_session(User.objects.get(username="eve"))
    statuses = [caller.post("channels/demo/leave", **{"Idempotency-Key": "one"}).status_code for _ in range(2)]
    assert statuses == [204, 204]


def test_failed_request_does_not_use_up_its_idempotency_key(olga: User) -> None:
    caller, headers = by_session(olga), {"Idempotency-Key": "one"}
    assert code(caller.post("channels", {"name": "No"}, **headers)) == (400, "bad_channel_name")
    assert caller.post("channels", {"name": "yes"}, **headers).status_code == 201


def test_failed_request_with_idempotency_key_counts_for_rate_limits(channel: Channel, olga: User) -> None:
    for number in range(2):
        headers = {"Idempotency-Key": f"try {number}"}
        answer = by_session(olga).post("channels/demo/members", {"username": "olga", "role": "viewer"}, **headers)
        assert code(answer) == (409, "is_member")
    assert set(RateCount.objects.values_list("count", flat=True)) == {2}


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_bad_idempotency_key_is_refused(olga: User, key: str) -> None:
    answer = by_session(olga).post("channels", {"name": "fresh"}, **{"Idempotency-Key": key})
    assert code(answer) == (400, "bad_idempotency_key")


def test_old_replies_are_deleted(olga: User) -> None:
    by_session(olga).post("channels", {"name": "fresh"}, **{"Idempotency-Key": "one"})
    assert idempotency.delete_old() == 0
    IdempotentReply.objects.update(created_at="2020-01-01T00:00:00Z")
    assert idempotency.delete_old() == 1


def test_session_without_csrf_token_is_refused(olga: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    answer = Caller(client).post("channels", {"name": "fresh"})
    assert code(answer) == (403, "not_from_here")
    assert "as X-CSRFToken" in answer.json()["detail"]
    assert not Channel.objects.exists()


def test_session_without_recent_sign_in_is_refused(olga: User) -> None:
    answer = by_session(olga, is_fresh=False).post("channels", {"name": "fresh"})
    assert code(answer) == (403, "reauthentication_needed")
    assert f"of the last {settings.ACCOUNT_REAUTHENTICATION_TIMEOUT // 60} minutes" in answer.json()["detail"]
    assert f"{settings.HUB_PUBLIC_URL}/accounts/reauthenticate/" in answer.json()["detail"]
    assert not Channel.objects.exists()


def test_wrong_key_is_refused_although_a_session_is_there(channel: Channel, olga: User) -> None:
    answer = by_session(olga).get("channels/demo", Authorization="Bearer wrong")
    assert code(answer) == (401, "invalid_key")


def test_key_without_the_scope_is_refused_each_change(channel: Channel, olga: User) -> None:
    change = {"description": "new"}
    assert code(by_key(olga, "read").patch("channels/demo", change)) == (403, "scope_missing")
    assert by_key(olga, "read", "manage").patch("channels/demo", change).json()["description"] == "new"
    assert code(by_key(olga, "read", "manage").post("channels", {"name": "fresh"})) == (403, "person_needed")


def test_key_of_one_channel_does_not_show_roles_in_others(channel: Channel, olga: User) -> None:
    make_channel("open", owner=olga, is_private=False)
    caller = Caller(bearing(make_key(olga, channels=[channel])))
    assert [(each["name"], each["role"]) for each in caller.get("channels").json()["items"]] == [
        ("demo", "owner"),
        ("open", None),
    ]
    assert [each["name"] for each in caller.get("channels?mine=true").json()["items"]] == ["demo"]


def test_every_operation_is_documented_with_its_problems() -> None:
    schema = document()
    assert schema["openapi"].startswith("3.1")
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all("default" in operation["responses"] and operation["tags"] for operation in operations)


def test_deleted_channel_is_restored_by_its_owner_alone(channel: Channel, olga: User, sam: User) -> None:
    caller = by_session(olga)
    assert caller.delete("channels/demo").status_code == 204
    assert code(by_session(sam).post("deleted-channels/demo/restore"))[0] == 404
    assert [deleted["name"] for deleted in caller.get("deleted-channels").json()["items"]] == ["demo"]
    assert caller.post("deleted-channels/demo/restore").json()["name"] == "demo"
    assert Channel.objects.get().deleted_at is None


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_unknown_path_of_the_api_is_a_problem(db: None, accept: str) -> None:
    assert code(Client().get("/api/v1/nothing", headers={"Accept": accept})) == (404, "not_found")


def test_options_name_the_methods(olga: User) -> None:
    answer = by_session(olga).call("OPTIONS", "channels")
    assert code(answer) == (405, "wrong_method")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}
