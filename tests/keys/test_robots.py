"""Tests of channel keys: visibility, creation, revocation, rights and expiry."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from channels_app.access import permissions
from channels_app.access.permissions import Actor, Permission
from channels_app.authentication import api_keys
from channels_app.authentication.actors import live_token
from channels_app.models import ApiKey, AuditEvent, Channel, Role, User
from hub.errors import HubError
from tests.builders import make_artifact, make_channel, make_key, make_member, make_robot, make_token
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/channels/demo/settings/robots"
NIGHTLY = {"name": "nightly", "scopes": ["upload"], "lifetime": "90"}
FILE = "/demo/noarch/repodata.json"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def status(secret: str, path: str = FILE) -> int:
    return Client().get(path, headers=bearer(secret)).status_code


def upload(secret: str, channel: str = "demo") -> int:
    """Return the status of an empty upload: 400 if the key may upload."""
    kind = "application/octet-stream"
    return Client().post(f"/api/v1/upload/{channel}", b"", content_type=kind, headers=bearer(secret)).status_code


@pytest.mark.parametrize(
    ("role", "seen", "sent"),
    [
        (None, 404, 404),
        (Role.VIEWER, 403, 403),
        (Role.CONTRIBUTOR, 403, 403),
        (Role.MAINTAINER, 200, 403),
        (Role.OWNER, 200, 200),
    ],
)
def test_managers_see_and_owners_make(channel: Channel, sam: User, role: str | None, seen: int, sent: int) -> None:
    if role:
        make_member(channel, sam, role)
    client = signed_in(sam)
    page = client.get(PAGE)
    assert (page.status_code, client.post(PAGE, NIGHTLY).status_code) == (seen, sent)
    assert ('name="scopes"' in text(page)) == (role == Role.OWNER)
    assert ApiKey.objects.count() == (role == Role.OWNER)
    general = client.get("/channels/demo/settings")
    assert (f'href="{PAGE}"' in text(general)) == (seen == 200)


def test_channel_keys_page_without_a_session_is_refused(client: Client, channel: Channel) -> None:
    assert client.get(PAGE).status_code == client.post(PAGE, NIGHTLY).status_code == 404


def test_other_methods_are_not_for_pages(owner: Client) -> None:
    assert owner.put(PAGE).status_code == owner.delete(PAGE).status_code == 405


def test_no_key_makes_another(client: Client, channel: Channel, olga: User) -> None:
    for secret in (make_key(olga, scopes=("read", "manage")), make_robot(channel, olga, scopes=("read", "manage"))):
        assert client.get(PAGE, headers=bearer(secret)).status_code == 200
        assert client.post(PAGE, NIGHTLY, headers=bearer(secret)).status_code == 403
    assert ApiKey.objects.count() == 2


def test_a_robot_is_made_and_shown_once(owner: Client, channel: Channel, olga: User) -> None:
    response = owner.post(PAGE, NIGHTLY | {"package_globs": "sample-*"})
    [secret] = set(re.findall(r"chub-[0-9A-Za-z]{32}", response.content.decode()))
    assert "no-store" in response.headers["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.kind, key.owner, key.robot_of) == ("robot", None, channel)
    assert (key.scopes, key.package_globs, key.all_channels) == (["upload"], ["sample-*"], False)
    assert secret not in text(owner.get(PAGE))
    assert upload(secret) == 400
    assert status(secret) == 403
    event = AuditEvent.objects.get()
    assert (event.action, event.channel, event.actor, event.target) == ("key.create", channel, olga, "nightly")
    assert "created the API key" in text(owner.get("/channels/demo/settings/activity?kind=settings"))


def test_a_robot_is_of_its_channel_alone(channel: Channel, olga: User) -> None:
    make_channel("other", owner=olga)
    secret = make_robot(channel, olga)
    assert [status(secret, f"/{name}/noarch/repodata.json") for name in ("demo", "other")] == [200, 403]
    assert [upload(secret, name) for name in ("demo", "other")] == [400, 403]


def test_a_robot_uploads_only_the_names_that_it_may(channel: Channel, olga: User) -> None:
    make_robot(channel, olga, package_globs=["sample-*"])
    actor = Actor(key=ApiKey.objects.get())
    assert [permissions.may_upload_name(actor, channel, name) for name in ("sample-a", "other")] == [True, False]


def test_channel_key_stays_when_its_creator_leaves(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.OWNER)
    secret = make_robot(channel, max_)
    channel.members.filter(user=max_).delete()
    assert status(secret) == 200
    max_.is_active = False
    max_.save()
    assert status(secret) == 200
    max_.delete()
    assert status(secret) == 200


def test_a_robot_ends_with_its_channel(channel: Channel, olga: User) -> None:
    secret = make_robot(channel, olga)
    Channel.objects.update(deleted_at=timezone.now())
    assert status(secret) == 403
    Channel.objects.all().delete()
    assert status(secret) == 401
    assert not ApiKey.objects.exists()


def test_channel_key_never_gets_the_owners_permissions(channel: Channel, olga: User) -> None:
    with pytest.raises(HubError, match="expected some of: read, upload, delete, manage") as refusal:
        make_robot(channel, olga, scopes=("own",))
    assert refusal.value.code == "bad_scope"
    make_robot(channel, olga, scopes=("read", "upload", "delete", "manage"))
    assert Permission.OWN not in permissions.permissions(Actor(key=ApiKey.objects.get()), channel)


def test_a_robot_deletes_with_its_scope(channel: Channel, olga: User) -> None:
    artifact = make_artifact(channel)
    path = f"/api/v1/delete/demo/noarch/{artifact.file_name}"
    for scopes, expected in ((("read", "upload"), 403), (("read", "delete"), 200)):
        secret = make_robot(channel, olga, scopes=scopes)
        assert Client().delete(path, headers=bearer(secret)).status_code == expected


def test_revoking_is_asked_once_more_and_for_owners(owner: Client, channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    secret = make_robot(channel, olga)
    key = ApiKey.objects.get()
    assert "Revoke the key nightly?" in text(owner.get(f"{PAGE}?revoke={key.pk}"))
    assert "Revoke" not in text(signed_in(max_).get(f"{PAGE}?revoke={key.pk}"))
    assert signed_in(max_).post(PAGE, {"revoke": str(key.pk)}).status_code == 403
    assert status(secret) == 200
    response = owner.post(PAGE, {"revoke": str(key.pk)})
    assert (messages(response), response.headers["Location"]) == (["The key nightly is revoked."], PAGE)
    assert status(secret) == 401
    assert [(action, target) for action, target, _ in events()] == [
        ("key.create", "nightly"),
        ("key.revoke", "nightly"),
    ]
    assert "No channel keys yet" in text(owner.get(PAGE))


def test_another_channels_robot_stays(owner: Client, olga: User, sam: User) -> None:
    secret = make_robot(make_channel("other", owner=sam), sam)
    key = ApiKey.objects.get()
    assert owner.post(PAGE, {"revoke": str(key.pk)}).status_code == 404
    with pytest.raises(HubError) as refusal:
        api_keys.revoke(key=key, actor=Actor(user=olga))
    assert refusal.value.code == "no_access"
    assert api_keys.look_up(secret)


def test_ones_own_key_is_revoked_by_oneself_alone(channel: Channel, olga: User, sam: User) -> None:
    make_key(olga)
    key = ApiKey.objects.get()
    make_key(olga)
    other = ApiKey.objects.exclude(pk=key.pk).get()
    token = live_token(make_token(olga, "channel:read", "channel:upload"))
    assert token
    for actor in (Actor(), Actor(user=sam), Actor(user=olga, key=other), Actor(user=olga, token=token)):
        with pytest.raises(HubError, match="Only the key's owner") as refusal:
            api_keys.revoke(key=key, actor=actor)
        assert refusal.value.code == "not_your_key"
    api_keys.revoke(key=key, actor=Actor(user=olga))


def test_page_of_channel_keys_names_the_policy(owner: Client, channel: Channel) -> None:
    sentence = "The policies of this channel accept uploads only from trusted publishers."
    assert sentence not in text(owner.get(PAGE))
    Channel.objects.update(only_trusted_publishers=True)
    assert sentence in text(owner.get(PAGE))


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": "taken"}, "There is a key called 'taken' already"),
        ({"scopes": []}, "Choose at least one permission."),
        ({"scopes": ["own"]}, "Select a valid choice. own is not one of the available choices."),
        ({"lifetime": "date"}, "Choose the last day on which the key works."),
        ({"package_globs": "x" * 300}, "A key takes at most 50 package names"),
    ],
)
def test_channel_key_with_bad_input_shows_the_error(
    owner: Client, channel: Channel, olga: User, form: dict[str, Any], sentence: str
) -> None:
    make_robot(channel, olga, name="taken")
    assert escape(sentence) in text(owner.post(PAGE, NIGHTLY | form))
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize("count", [1, 20])
def test_the_list_costs_as_many_queries_for_20_as_for_1(
    owner: Client,
    channel: Channel,
    olga: User,
    count: int,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for n in range(count):
        make_robot(channel, olga, name=f"robot-{n}")
    with django_assert_max_num_queries(10):
        assert owner.get(PAGE).content.count(b"?revoke=") == count
