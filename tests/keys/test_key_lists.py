"""Tests of the lists of keys in the REST API, and of revoking them there."""

import pytest
from pytest_django import DjangoAssertNumQueries

from channels_app.models import ApiKey, AuditEvent, Channel, Role, User
from tests.builders import make_channel, make_key, make_member, make_robot
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db

KEYS, ROBOTS = "account/keys", "channels/demo/robots"


def test_list_of_keys_has_the_limits_and_no_secret(channel: Channel, olga: User, max_: User) -> None:
    secret = make_key(olga, scopes=("read", "upload"), channels=[channel])
    make_key(max_)
    answer = by_session(olga).get(KEYS)
    (key,) = answer.json()["items"]
    assert (key["scopes"], key["channels"], key["package_globs"]) == (["read", "upload"], ["demo"], [])
    assert secret not in answer.content.decode()
    assert set(key) == {
        *("id", "name", "hint", "scopes", "channels", "package_globs"),
        *("created_at", "expires_at", "last_used_at"),
    }


def test_list_of_keys_needs_as_many_queries_for_many(
    channel: Channel, olga: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(15):
        make_key(olga, channels=[channel])
    caller = by_session(olga)
    with django_assert_max_num_queries(8):
        assert len(caller.get(KEYS).json()["items"]) == 15


def test_revoked_key_is_gone_from_the_list_and_ends(channel: Channel, olga: User) -> None:
    key = by_key(olga, "read")
    path = f"{KEYS}/{ApiKey.objects.get().pk}"
    assert by_session(olga).delete(path).status_code == 204
    assert by_session(olga).get(KEYS).json()["items"] == []
    assert code(key.get("channels/demo")) == (401, "invalid_key")
    assert code(by_session(olga).delete(path)) == (404, "not_found")
    assert AuditEvent.objects.latest("pk").action == "key.revoke"


def test_key_of_another_user_is_not_found(olga: User, max_: User) -> None:
    make_key(olga)
    assert code(by_session(max_).delete(f"{KEYS}/{ApiKey.objects.get().pk}")) == (404, "not_found")
    assert ApiKey.objects.get().revoked_at is None


def test_key_lists_and_revokes_no_key_of_its_user(olga: User) -> None:
    key = by_key(olga, "read", "upload", "delete", "manage")
    assert code(key.get(KEYS)) == (403, "person_needed")
    assert code(key.delete(f"{KEYS}/{ApiKey.objects.get().pk}")) == (403, "person_needed")


def test_channel_keys_are_listed_for_managers_and_revoked_by_owners(channel: Channel, olga: User, max_: User) -> None:
    secret = make_robot(channel, olga, scopes=("read",))
    make_member(channel, max_, Role.MAINTAINER)
    answer = by_session(max_).get(ROBOTS)
    (key,) = answer.json()["items"]
    assert key["scopes"] == ["read"]
    assert secret not in answer.content.decode()
    path = f"{ROBOTS}/{key['id']}"
    assert code(by_session(max_).delete(path)) == (403, "role_missing")
    assert code(by_key(olga, "read", "manage").delete(path)) == (403, "person_needed")
    assert by_session(olga).delete(path).status_code == 204
    assert by_session(olga).get(ROBOTS).json()["items"] == []


def test_channel_key_of_another_channel_is_not_found(channel: Channel, olga: User, sam: User) -> None:
    make_channel("sams", owner=sam)
    make_robot(channel, olga)
    path = f"channels/sams/robots/{ApiKey.objects.get().pk}"
    assert code(by_session(sam).delete(path)) == (404, "not_found")
    assert ApiKey.objects.get().revoked_at is None
