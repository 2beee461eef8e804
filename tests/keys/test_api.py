"""Tests of `/api/v1/whoami`, and of keys that revoke themselves."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.models import ApiKey, AuditEvent, Channel, Role, User
from tests.builders import (
    make_channel,
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
)

pytestmark = pytest.mark.django_db

WHOAMI = "/api/v1/whoami"
CURRENT = "/api/v1/keys/current"
NOTHING = dict.fromkeys(
    ("kind", "name", "hint", "robot_of", "scopes", "channels", "package_globs", "expires_at", "user")
)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def basic(secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{secret}".encode()).decode()}


def asked(client: Client, path: str = WHOAMI, **headers: str) -> dict[str, Any]:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("application/json", "no-store")
    return dict(json.loads(answer.content))


def test_whoami_by_every_credential_source_names_it(client: Client, olga: User) -> None:
    secret = make_key(olga)
    assert asked(client) == {"credential": "none", **NOTHING, "may": {}}
    for way, found in (
        ("bearer", asked(client, **bearer(secret))),
        ("basic", asked(client, **basic(secret))),
        ("path", asked(client, f"/t/{secret}{WHOAMI}")),
        ("x-api-key", asked(client, **{"x-api-key": secret})),
        ("x-jfrog-art-api", asked(client, **{"x-jfrog-art-api": secret})),
    ):
        assert found == {
            "credential": way,
            "kind": "personal",
            "name": "test",
            "hint": secret[:11],
            "user": "olga",
            "robot_of": None,
            "scopes": ["read", "upload"],
            "channels": None,
            "package_globs": [],
            "expires_at": None,
            "may": {},
        }
    client.force_login(olga)
    assert asked(client) == {"credential": "session", **NOTHING, "user": "olga", "may": {}}


def test_a_key_counts_before_a_session(client: Client, olga: User, sam: User) -> None:
    client.force_login(olga)
    found = asked(client, **bearer(make_key(sam)))
    assert (found["credential"], found["user"]) == ("bearer", "sam")


def test_whoami_of_a_limited_key_lists_its_limits(client: Client, channel: Channel, olga: User) -> None:
    until = timezone.now() + timedelta(days=3)
    secret = make_key(olga, scopes=("upload",), channels=[channel], package_globs=["sample-*"])
    ApiKey.objects.update(expires_at=until)
    found = asked(client, **bearer(secret))
    assert (found["scopes"], found["channels"], found["package_globs"]) == (["upload"], ["demo"], ["sample-*"])
    assert found["expires_at"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_whoami_of_a_channel_key_names_it(client: Client, channel: Channel, olga: User) -> None:
    found = asked(client, f"{WHOAMI}?channel=demo", **bearer(make_robot(channel, olga)))
    assert (found["kind"], found["name"], found["user"]) == ("robot", "nightly", None)
    assert (found["robot_of"], found["channels"]) == ("demo", None)
    assert found["may"] == {"demo": ["read", "upload"]}


def test_whoami_of_a_short_lived_token_names_its_publisher(client: Client, channel: Channel) -> None:
    _, secret = make_short_lived_token(make_publisher(channel))
    found = asked(client, f"{WHOAMI}?channel=demo", **bearer(secret))
    assert (found["kind"], found["name"]) == ("minted", "GitHub Actions: octo-org/sample")
    assert (found["user"], found["robot_of"], found["channels"]) == (None, None, None)
    assert found["may"] == {"demo": ["upload"]}


def test_whoami_of_an_applications_token_names_it(client: Client, channel: Channel, olga: User) -> None:
    found = asked(client, f"{WHOAMI}?channel=demo", **bearer(make_token(olga, "openid", "channel:read")))
    assert (found["kind"], found["name"], found["user"]) == ("application", "A tool", "olga")
    assert (found["scopes"], found["may"]) == (["channel:read"], {"demo": ["read"]})


def test_whoami_with_channels_lists_permissions_of_each(
    client: Client, channel: Channel, olga: User, sam: User
) -> None:
    make_channel("open", owner=sam, is_private=False)
    make_channel("hidden", owner=sam)
    make_channel("gone", owner=olga, deleted_at=timezone.now())
    query = "&".join(f"channel={name}" for name in ("demo", "open", "hidden", "nowhere", "gone", "%00"))
    found = asked(client, f"{WHOAMI}?{query}", **bearer(make_key(olga, scopes=("read", "upload"))))
    assert found["may"] == {
        "demo": ["read", "upload"],
        "open": ["read"],
        "hidden": [],
        "nowhere": [],
        "gone": [],
        "\0": [],
    }
    client.force_login(olga)
    assert asked(client, f"{WHOAMI}?channel=demo")["may"] == {"demo": ["read", "upload", "delete", "manage", "own"]}


def test_rights_are_those_of_this_moment(client: Client, channel: Channel, sam: User) -> None:
    secret = make_key(sam, scopes=("read", "upload"))
    member = make_member(channel, sam, Role.VIEWER)
    rights = [asked(client, f"{WHOAMI}?channel=demo", **bearer(secret))["may"]["demo"]]
    for role in (Role.OWNER, None):
        member.role = role or member.role
        member.save() if role else member.delete()
        rights.append(asked(client, f"{WHOAMI}?channel=demo", **bearer(secret))["may"]["demo"])
    assert rights == [["read"], ["read", "upload"], []]


def test_the_secret_is_never_repeated(client: Client, olga: User) -> None:
    secret = make_key(olga)
    for answer in (client.get(WHOAMI, headers=bearer(secret)), client.get(f"/t/{secret}{WHOAMI}")):
        assert secret not in answer.text + str(answer.headers)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Bearer nonsense", "This is not a key of this hub: its keys begin with 'chub-'."),
        ("Bearer chub-short", "The key is damaged: its checksum does not fit."),
        ("Digest abc", "of the scheme 'Digest'; expected Bearer or Basic"),
        ("Basic !!!", "is not valid basic authentication"),
    ],
)
def test_whoami_with_a_wrong_credential_gets_401(client: Client, olga: User, header: str, sentence: str) -> None:
    client.force_login(olga)
    answer = client.get(WHOAMI, headers={"authorization": header})
    assert answer.status_code == 401
    assert sentence in answer.text


def test_whoami_with_an_expired_key_gets_401(client: Client, olga: User) -> None:
    secret = make_key(olga)
    for end in ({"expires_at": timezone.now()}, {"expires_at": None, "revoked_at": timezone.now()}):
        ApiKey.objects.update(**end)
        answer = client.get(WHOAMI, headers=bearer(secret))
        assert (answer.status_code, answer["X-Error-Code"]) == (401, "invalid_key")


def test_too_many_channels_are_refused(client: Client) -> None:
    answer = client.get(WHOAMI + "?channel=a" + "&channel=a" * 20)
    assert (answer.status_code, answer.text) == (400, "21 channels were asked for; expected at most 20.\n")
    assert answer.headers["X-Error-Code"] == "too_many_channels"
    assert client.get(WHOAMI + "?channel=a" + "&channel=a" * 19).status_code == 200


def test_whoami_by_other_methods_gets_405(client: Client) -> None:
    assert client.head(WHOAMI).status_code == 200
    assert client.post(WHOAMI).status_code == 405


def test_key_revokes_itself_by_delete(client: Client, channel: Channel, olga: User) -> None:
    for secret in (make_key(olga), make_robot(channel, olga), make_short_lived_token(make_publisher(channel))[1]):
        assert client.delete(CURRENT, headers=bearer(secret)).status_code == 204
        assert client.delete(CURRENT, headers=bearer(secret)).status_code == 401
        event = AuditEvent.objects.order_by("-pk")[0]
        assert (event.action, event.key) == ("key.revoke", ApiKey.objects.get(hint=secret[:11]))
    assert not ApiKey.objects.filter(revoked_at=None).exists()


def test_only_a_key_ends_itself(client: Client, olga: User) -> None:
    client.force_login(olga)
    answer = client.delete(CURRENT)
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "credential_needed")
    answer = client.delete(CURRENT, headers=bearer(make_token(olga, "openid", "channel:read")))
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "not_a_key")
    assert client.get(CURRENT).status_code == 405
