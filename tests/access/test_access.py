"""Tests of the permission table and of `channel_for`, for every kind of caller."""

from contextlib import suppress
from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Token
from django.db import transaction
from django.utils import timezone

from channels_app.access.permissions import (
    ANONYMOUS,
    ROLE_PERMISSIONS,
    Actor,
    Permission,
    channel_for,
    check_still_allowed,
    lock_channel,
    may_upload_name,
    publisher_permissions,
    visible_channels,
)
from channels_app.authentication import api_keys
from channels_app.authentication.actors import live_token
from channels_app.models import ApiKey, Channel, Role, User
from hub.errors import HubError
from tests.builders import (
    make_channel,
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
    make_user,
)

R, U, D, M, O = Permission.READ, Permission.UPLOAD, Permission.DELETE, Permission.MANAGE, Permission.OWN  # noqa: E741
ROLES = {
    Role.VIEWER: {R},
    Role.CONTRIBUTOR: {R, U},
    Role.MAINTAINER: {R, U, D, M},
    Role.OWNER: {R, U, D, M, O},
}


def key_actor(owner: User, *scopes: str, channels: list[Channel] | None = None) -> Actor:
    key = api_keys.look_up(make_key(owner, scopes=scopes or (R, U), channels=channels))
    assert key is not None
    return Actor(user=key.owner, key=key)


def allowed(actor: Actor, channel: Channel) -> set[Permission]:
    """Return the permissions for which `channel_for` returns the channel."""
    granted = set()
    for permission in Permission:
        with suppress(HubError):
            assert channel_for(actor, channel.name, permission) == channel
            granted.add(permission)
    for permission in set(Permission) - granted:
        assert refusal(actor, channel.name, permission).status == (403 if actor.user else 401)
    return granted


def refusal(actor: Actor, name: str, permission: Permission) -> HubError:
    with pytest.raises(HubError) as caught:
        channel_for(actor, name, permission)
    return caught.value


def test_role_table_equals_the_documentation() -> None:
    assert {role: set(permissions) for role, permissions in ROLE_PERMISSIONS.items()} == ROLES


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("is_private", [True, False])
def test_member_has_the_permissions_of_the_role(olga: User, max_: User, role: Role, is_private: bool) -> None:
    channel = make_channel(owner=olga, is_private=is_private)
    make_member(channel, max_, role)
    assert allowed(Actor(user=max_), channel) == ROLES[role]


def test_strangers_and_anonymous_users_read_public_channels_only(olga: User, sam: User) -> None:
    private, public = make_channel("a", owner=olga), make_channel("b", owner=olga, is_private=False)
    make_channel("of-sam", owner=sam)
    for caller in (ANONYMOUS, Actor(user=sam), key_actor(sam)):
        assert allowed(caller, private) == set()
        assert allowed(caller, public) == {R}


def test_administrator_has_every_permission(channel: Channel) -> None:
    root = User.objects.create_superuser("root")
    assert allowed(Actor(user=root), channel) == set(Permission)


@pytest.mark.parametrize("scopes", [(R,), (U,), (R, U), (D, M), (R, U, D, M)])
def test_a_key_narrows_its_owner_to_its_scopes(channel: Channel, olga: User, scopes: tuple[Permission, ...]) -> None:
    assert allowed(key_actor(olga, *scopes), channel) == set(scopes)


def test_a_key_is_never_stronger_than_its_owner(channel: Channel, max_: User) -> None:
    member = make_member(channel, max_, Role.CONTRIBUTOR)
    actor = key_actor(max_, R, U, D, M)
    assert allowed(actor, channel) == {R, U}
    member.delete()
    assert allowed(actor, channel) == set()


def test_a_key_for_one_channel_is_for_no_other(olga: User) -> None:
    one, other = make_channel("one", owner=olga), make_channel("other", owner=olga)
    actor = key_actor(olga, channels=[one])
    assert (allowed(actor, one), allowed(actor, other)) == ({R, U}, set())
    one.delete()
    assert allowed(actor, other) == set()


@pytest.mark.parametrize("permission", Permission)
def test_private_and_missing_channels_are_refused_alike(channel: Channel, sam: User, permission: Permission) -> None:
    for caller in (ANONYMOUS, Actor(user=sam), key_actor(sam)):
        private, missing = refusal(caller, channel.name, permission), refusal(caller, "nowhere", permission)
        assert private.detail.replace(channel.name, "nowhere") == missing.detail
        assert (private.status, private.code, private.headers) == (missing.status, missing.code, missing.headers)


def test_anonymous_user_of_a_private_channel_gets_401(channel: Channel) -> None:
    error = refusal(ANONYMOUS, channel.name, U)
    assert (error.status, error.code) == (401, "credential_needed")
    assert error.headers["WWW-Authenticate"] == 'Bearer realm="channelhub", Basic realm="channelhub"'
    assert "anonymous users have no upload access to 'demo'" in error.detail


def test_refusal_of_a_member_names_the_missing_permission(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_)
    assert refusal(Actor(user=max_), channel.name, U).detail.startswith("max may read 'demo' but not upload there.")
    assert refusal(key_actor(olga, R), channel.name, U).detail == (
        "The key 'test' is for read; this needs a key with 'upload'."
    )


@pytest.mark.parametrize(
    ("scopes", "code"), [(("channel:read",), "scope_missing"), (("channel:read", "channel:upload"), "role_missing")]
)
def test_channel_for_application_without_a_right_names_the_missing_scope_or_role(
    channel: Channel, max_: User, scopes: tuple[str, ...], code: str
) -> None:
    make_member(channel, max_)
    actor = Actor(user=max_, token=live_token(make_token(max_, *scopes)))
    assert refusal(actor, channel.name, U).code == code


def test_rights_are_asked_for_again_before_a_commit(channel: Channel, olga: User, max_: User) -> None:
    member = make_member(channel, max_, Role.CONTRIBUTOR)
    actor = key_actor(max_)
    check_still_allowed(actor, channel, U)
    ApiKey.objects.update(revoked_at="2026-01-01T00:00:00Z")
    make_key(olga)
    with pytest.raises(HubError, match="revoked while the upload was under way"):
        check_still_allowed(actor, channel, U)
    member.delete()
    with pytest.raises(HubError, match="max has no upload access to 'demo'"):
        check_still_allowed(Actor(user=max_), channel, U)


def test_a_channel_of_the_same_name_is_not_the_same(channel: Channel, olga: User) -> None:
    old = Channel.objects.get(pk=channel.pk)
    channel.delete()
    make_channel(old.name, owner=olga)
    with pytest.raises(HubError, match="was deleted while the upload was under way"):
        check_still_allowed(Actor(user=olga), old, U)


def test_lists_show_only_readable_channels(channel: Channel, olga: User, sam: User) -> None:
    make_channel("public", owner=olga, is_private=False)
    root = make_user("root", is_superuser=True)
    shown = {
        name: [channel.name for channel in visible_channels(actor)]
        for name, actor in {
            "nobody": ANONYMOUS, "owner": Actor(user=olga), "stranger": Actor(user=sam), "root": Actor(user=root),
        }.items()
    }  # fmt: skip
    assert shown == {
        "nobody": ["public"], "owner": ["demo", "public"], "stranger": ["public"], "root": ["demo", "public"],
    }  # fmt: skip


def test_visible_channels_of_a_key_are_those_that_it_reads(olga: User, max_: User) -> None:
    one, other = make_channel("one", owner=olga), make_channel("other", owner=olga)
    make_channel("public", owner=max_, is_private=False)
    make_channel("stranger", owner=max_)
    make_channel("gone", owner=olga, deleted_at=timezone.now())
    make_robot(other, olga, scopes=(R,))
    make_robot(one, olga, scopes=(U,))
    reading, uploading = (Actor(key=key) for key in ApiKey.objects.order_by("pk"))
    actors = {
        "all": key_actor(olga, R),
        "one": key_actor(olga, R, channels=[one]),
        "upload": key_actor(olga, U),
        "application": Actor(user=olga, token=live_token(make_token(olga, "channel:read"))),
        "application to upload": Actor(user=olga, token=live_token(make_token(olga, "channel:upload"))),
        "channel key": reading,
        "channel key to upload": uploading,
    }
    assert {name: sorted(channel.name for channel in visible_channels(actor)) for name, actor in actors.items()} == {
        "all": ["one", "other", "public"],
        "one": ["one", "public"],
        "upload": ["public"],
        "application": ["one", "other", "public"],
        "application to upload": ["public"],
        "channel key": ["other", "public"],
        "channel key to upload": ["public"],
    }


def test_lock_channel_returns_the_current_row(channel: Channel, olga: User) -> None:
    later = make_channel("later", owner=olga)
    Channel.objects.filter(pk=later.pk).update(description="new")
    with transaction.atomic():
        locked = lock_channel(Actor(user=olga), later, M)
    assert (locked, locked.description) == (later, "new")


def test_lock_channel_checks_the_permission_again(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    with pytest.raises(HubError) as caught, transaction.atomic():
        lock_channel(Actor(user=max_), channel, M)
    assert caught.value.code == "role_missing"


def test_check_still_allowed_after_the_token_ended_is_refused(channel: Channel, olga: User) -> None:
    actor = Actor(user=olga, token=live_token(make_token(olga, "channel:read")))
    check_still_allowed(actor, channel, R)
    Token.objects.update(expires_at=timezone.now())
    make_token(olga, "channel:read")
    with pytest.raises(HubError) as caught:
        check_still_allowed(actor, channel, R)
    assert caught.value.code == "invalid_key"


def test_may_upload_name_by_ci_compares_the_publishers_of_that_channel(channel: Channel, olga: User) -> None:
    other = make_channel("other", owner=olga)
    limited = make_publisher(channel, package_globs=["map-*"])
    key, _ = make_short_lived_token(limited, make_publisher(other, limited.issuer))
    names = [(channel, "map-a"), (channel, "demo"), (other, "demo")]
    assert [may_upload_name(Actor(key=key), *each) for each in names] == [True, False, True]


@pytest.mark.parametrize(("days", "granted"), [(1, {U}), (-1, set())])
def test_publisher_of_a_key_has_rights_until_the_key_expires(
    channel: Channel, olga: User, days: int, granted: set[Permission]
) -> None:
    maker = key_actor(olga, U, M).key
    assert maker
    maker.expires_at = timezone.now() + timedelta(days=days)
    maker.save()
    assert publisher_permissions(make_publisher(channel, made_with=maker)) == granted
