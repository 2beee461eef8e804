"""Tests of delegated rights: a key grants at most its own rights and limits, and they end with the key."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test import Client
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.permissions import Actor, Permission, may_upload_name, permissions, visible_channels
from channels_app.authentication import api_keys, decision_cache, delegation
from channels_app.channels import channels
from channels_app.models import ApiKey, Channel, Role, User
from channels_app.people import invitations, members
from hub.errors import HubError
from publishing.id_tokens.claims import BadToken
from publishing.models import TrustedPublisher
from publishing.trusted import publishers
from tests.archives import make_conda
from tests.builders import (
    make_channel,
    make_issuer,
    make_key,
    make_member,
    make_robot,
    make_short_lived_token,
    make_team,
    make_token,
)
from tests.id_tokens.builders import github_claims

pytestmark = pytest.mark.django_db

URL = "/api/v1/channels/demo/publishers"
GITHUB = {"provider": "github", "fields": {"repository": "octo-org/sample", "workflow": "release.yml"}}
ALL = ("read", "upload", "manage")


def post(secret: str, **values: Any) -> Any:
    headers = {"Authorization": f"Bearer {secret}"}
    return Client().post(URL, orjson.dumps(GITHUB | values), "application/json", headers=headers)


@pytest.mark.parametrize(
    ("scopes", "globs", "asked", "told"),
    [
        (("manage",), (), {}, "may not upload in 'demo' itself"),
        (("manage",), (), {"may_read": True}, "may not read or upload in 'demo' itself"),
        (("manage",), (), {"may_upload": False, "may_read": True}, "may not read in 'demo' itself"),
        (("read", "manage"), (), {"may_read": True}, "may not upload in 'demo' itself"),
        (("upload", "manage"), (), {"may_read": True}, "may not read in 'demo' itself"),
        (ALL, ("a-*",), {}, "is limited to a-*"),
        (ALL, ("a-*",), {"package_globs": ["*"]}, "is limited to a-*"),
        (ALL, ("a-*",), {"package_globs": ["a-one", "b"]}, "is limited to a-*"),
        (ALL, ("a-*",), {"package_globs": ["a*"]}, "is limited to a-*"),
        (ALL, ("a",), {"package_globs": ["a?"]}, "is limited to a"),
        (ALL, ("[ab]*",), {"package_globs": ["[abc]*"]}, "is limited to [ab]*"),
        (ALL, ("a-*",), {"may_upload": False, "may_read": True}, "is limited to a-*"),
    ],
)
@pytest.mark.parametrize("kind", ["personal", "robot"])
def test_key_adds_no_publisher_with_more_rights_than_its_own(
    channel: Channel,
    olga: User,
    kind: str,
    scopes: tuple[str, ...],
    globs: tuple[str, ...],
    asked: dict[str, Any],
    told: str,
) -> None:
    secret = (
        make_key(olga, scopes=scopes, package_globs=globs)
        if kind == "personal"
        else make_robot(channel, olga, scopes=scopes, package_globs=globs)
    )
    answer = post(secret, **asked)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "passes_on_more")
    assert told in answer.text
    assert not TrustedPublisher.objects.exists()


def test_key_adds_a_publisher_with_its_own_rights(channel: Channel, olga: User) -> None:
    secret = make_key(olga, scopes=ALL, package_globs=("a-*", "b"), channels=[channel])
    answer = post(secret, may_read=True, package_globs=["a-*", "a-x[12]*", "a-one", "b"])
    assert answer.status_code == 201
    publisher = TrustedPublisher.objects.get()
    assert publisher.made_with == api_keys.look_up(secret)
    short_lived = Actor(key=make_short_lived_token(publisher)[0])
    assert permissions(short_lived, channel) == {Permission.READ, Permission.UPLOAD}
    assert list(visible_channels(short_lived)) == [channel]


def test_an_application_adds_none(channel: Channel, olga: User) -> None:
    answer = post(make_token(olga, "channel:read", "channel:upload"))
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "scope_missing")


def made(secret: str) -> TrustedPublisher:
    """Return the publisher that the key added, after its first exchange."""
    assert post(secret, may_read=True).status_code == 201
    publisher = TrustedPublisher.objects.get()
    publishers.settle(publisher, github_claims())
    return publisher


# Ways in which a key ends or loses rights.
ENDS: dict[str, Callable[[], object]] = {
    "revoked": lambda: ApiKey.objects.filter(claims={}).update(revoked_at=timezone.now()),
    "expired": lambda: ApiKey.objects.filter(claims={}).update(expires_at=timezone.now()),
    "its owner is shut out": lambda: User.objects.update(is_active=False),
}


@pytest.mark.parametrize("how", ENDS)
def test_publisher_of_a_key_ends_with_the_key(channel: Channel, olga: User, tmp_path: Path, how: str) -> None:
    publisher = made(make_key(olga, scopes=ALL))
    key, secret = make_short_lived_token(publisher)
    assert upload(secret, tmp_path) == 201
    ENDS[how]()
    assert permissions(Actor(key=key), channel) == frozenset()
    assert list(visible_channels(Actor(key=key))) == []
    assert upload(secret, tmp_path, version="2") == 403
    assert Client().get("/demo/noarch/repodata.json", headers={"Authorization": f"Bearer {secret}"}).status_code == 403
    with pytest.raises(BadToken, match="No channel trusts"):
        publishers.matching(publisher.issuer, github_claims())


def upload(secret: str, folder: Path, version: str = "1.0") -> int:
    path = make_conda(folder, version=version)
    headers = {"x-file-name": path.name, "authorization": f"Bearer {secret}"}
    return (
        Client().post("/api/v1/upload/demo", path.read_bytes(), "application/octet-stream", headers=headers).status_code
    )


def test_lower_role_narrows_the_publishers_of_its_key(channel: Channel, olga: User, max_: User) -> None:
    member = make_member(channel, max_, Role.MAINTAINER)
    key = Actor(key=make_short_lived_token(made(make_key(max_, scopes=ALL)))[0])
    member.role = Role.VIEWER
    member.save()
    assert permissions(key, channel) == {Permission.READ}
    member.delete()
    assert permissions(key, channel) == frozenset()


def test_package_names_of_a_key_limit_its_publisher(channel: Channel, olga: User) -> None:
    secret = make_key(olga, scopes=ALL, package_globs=("a-*",))
    assert post(secret, package_globs=["a-*"]).status_code == 201
    TrustedPublisher.objects.update(package_globs=[])  # as if the limit was lost in any way
    short_lived = Actor(key=make_short_lived_token(TrustedPublisher.objects.get())[0])
    assert [may_upload_name(short_lived, channel, name) for name in ("a-one", "demo")] == [True, False]


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_ended_publisher_blocks_no_new_one(channel: Channel, olga: User, how: str) -> None:
    """Check that the same publisher can be added again, and that housekeeping removes it."""
    secret = make_key(olga, scopes=ALL)
    made(secret)
    publishers.delete_expired()
    assert TrustedPublisher.objects.exists()
    ENDS[how]()
    again = make_key(olga, scopes=ALL)
    assert post(again).status_code == 201
    ENDS[how]()
    publishers.delete_expired()
    assert not TrustedPublisher.objects.exists()


def test_publisher_of_a_person_stays_when_their_keys_end(channel: Channel, olga: User) -> None:
    fields = {"repository": "octo-org/sample", "workflow": "release.yml"}
    make_key(olga)
    publisher = publishers.add(actor=Actor(user=olga), channel=channel, issuer=make_issuer(), fields=fields)
    ENDS["revoked"]()
    publishers.delete_expired()
    assert permissions(Actor(key=make_short_lived_token(publisher)[0]), channel) == {Permission.UPLOAD}


def test_list_shows_the_end_of_a_publisher(channel: Channel, olga: User) -> None:
    secret = make_key(olga, scopes=ALL)
    until = timezone.now() + timedelta(days=3)
    ApiKey.objects.update(expires_at=until)
    assert post(secret).json()["expires_at"] == until.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def test_cached_decision_ends_with_the_key(channel: Channel, olga: User) -> None:
    short_lived = Actor(key=make_short_lived_token(made(make_key(olga, scopes=ALL)))[0])
    soon = timezone.now() + timedelta(seconds=3)
    ApiKey.objects.filter(kind="personal").update(expires_at=soon)
    assert decision_cache._expires_at(short_lived) == soon.timestamp()


EMAIL = "ada@example.org"
# Writes with lasting effects, each as a caller with a credential makes it.
WRITES: dict[str, Callable[[Actor, Channel], object]] = {
    "member.add": lambda actor, channel: members.add(actor=actor, channel=channel, role="viewer", team="mappers"),
    "invitation.send": lambda actor, channel: invitations.invite(
        actor=actor, channel=channel, email=EMAIL, role="viewer"
    ),
    "channel.update": lambda actor, channel: channels.update(actor=actor, channel=channel, is_private=False),
    "policy.change": lambda actor, channel: channels.change_policies(
        actor=actor, channel=channel, allow_overwrite=True
    ),
}


@pytest.mark.parametrize("action", WRITES)
def test_key_for_managing_creates_only_publishers(channel: Channel, olga: User, max_: User, action: str) -> None:
    make_team("mappers", manager=olga)
    actor = Actor(user=olga, key=api_keys.look_up(make_key(olga, scopes=("read", "upload", "delete", "manage"))))
    with pytest.raises(HubError) as caught:
        WRITES[action](actor, channel)
    assert (caught.value.status, caught.value.code) == (403, "person_needed")
    assert acts.ACTS[action].by_key == acts.KeyUse.NEVER
    WRITES[action](Actor(user=olga), channel)


def test_no_key_makes_a_robot(channel: Channel, olga: User) -> None:
    actor = Actor(user=olga, key=api_keys.look_up(make_key(olga, scopes=ALL)))
    with pytest.raises(HubError) as caught:
        api_keys.create_channel_key(actor=actor, channel=channel, name="x", scopes=["read"], expires_at=None)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("globs", "limits", "expected"),
    [
        ([], [], True),
        (["a"], [], True),
        ([], ["a"], False),
        (["a"], ["a"], True),
        (["ab"], ["a*"], True),
        (["ab*"], ["a*"], True),
        (["a*"], ["ab*"], False),
        (["*"], ["*"], True),
        (["a?"], ["a*"], True),
        (["?a"], ["a*"], False),
        (["b"], ["[ab]"], True),
        (["a*"], ["?*"], False),  # true in fact, but the patterns alone don't show it
        (["a", "b"], ["a"], False),
        (["a", "b"], ["a", "b*"], True),
    ],
)
def test_is_within_pairs_of_globs_compares_them(globs: list[str], limits: list[str], expected: bool) -> None:
    assert delegation.is_within(globs, limits) is expected


def test_a_key_for_one_channel_manages_no_other(channel: Channel, olga: User) -> None:
    other = make_channel("other", owner=olga)
    assert post(make_key(olga, scopes=ALL, channels=[other])).status_code == 403
