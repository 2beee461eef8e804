"""Tests of API keys: their form, their hash, their expiry."""

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone

from channels_app import identifiers
from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from channels_app.models import ApiKey, AuditEvent, Channel, User
from hub.errors import HubError
from tests.builders import make_key


def test_a_key_is_of_letters_and_digits_after_its_prefix_and_only_its_hash_is_kept(olga: User) -> None:
    secret = make_key(olga)
    prefix, _, body = secret.partition("-")
    assert (prefix, len(body), body.isascii() and body.isalnum()) == ("chub", 32, True)
    row = ApiKey.objects.get()
    assert row.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert row.hint == secret[:11]
    assert secret not in str(row.__dict__)
    assert AuditEvent.objects.get().action == "key.create"


def test_a_thousand_keys_differ_and_carry_a_checksum() -> None:
    made = {api_keys.new_secret() for _ in range(1000)}
    assert len(made) == 1000
    assert all(api_keys.has_shape(secret) for secret in made)


@pytest.mark.parametrize(
    "damage",
    [
        lambda secret: secret[:-1],
        lambda secret: secret + "0",
        lambda secret: secret + "\n",
        lambda secret: secret[:-1] + ("0" if secret[-1] != "0" else "1"),
        lambda secret: secret[:8] + ("0" if secret[8] != "0" else "1") + secret[9:],
        lambda secret: secret.upper(),
        lambda secret: secret.replace("chub-", "chub_"),
        lambda secret: "",
    ],
)
def test_a_damaged_key_costs_no_query(olga: User, damage: object, django_assert_num_queries: object) -> None:
    secret = damage(make_key(olga))  # type: ignore[operator]
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert api_keys.look_up(secret) is None


def test_a_key_is_found_until_it_ends(olga: User) -> None:
    secret = make_key(olga)
    key = api_keys.look_up(secret)
    assert key is not None
    assert key.owner == olga
    for end in (
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"expires_at": None, "revoked_at": timezone.now()},
    ):
        ApiKey.objects.update(**end)
        assert api_keys.look_up(secret) is None


def test_the_key_of_an_inactive_user_is_none(olga: User) -> None:
    secret = make_key(olga)
    User.objects.update(is_active=False)
    assert api_keys.look_up(secret) is None


def test_revoking_is_at_once_and_recorded(olga: User) -> None:
    secret = make_key(olga)
    key = api_keys.look_up(secret)
    assert key is not None
    for _ in range(2):
        api_keys.revoke(key=key, actor=Actor(user=olga))
    assert api_keys.look_up(secret) is None
    assert AuditEvent.objects.filter(action="key.revoke", actor=olga).count() == 1


def test_the_last_use_is_kept_to_the_minute(olga: User) -> None:
    key = api_keys.look_up(make_key(olga))
    assert key is not None
    api_keys.note_use(key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    key.refresh_from_db()
    api_keys.note_use(key)
    assert ApiKey.objects.get().last_used_at == first
    key.last_used_at = first - timedelta(minutes=2)
    api_keys.note_use(key)
    assert ApiKey.objects.get().last_used_at != first


@pytest.mark.parametrize("scopes", [(), ("own",), ("read", "everything")])
def test_an_unknown_scope_is_refused(olga: User, scopes: tuple[str, ...]) -> None:
    with pytest.raises(HubError, match="expected some of: read, upload, delete, manage"):
        make_key(olga, scopes=scopes)
    assert not ApiKey.objects.exists()


def test_note_use_changes_no_other_key(olga: User) -> None:
    make_key(olga)
    key = api_keys.look_up(make_key(olga))
    assert key is not None
    api_keys.note_use(key)
    assert list(ApiKey.objects.exclude(last_used_at=None)) == [key]


def test_clean_globs_strips_sorts_and_drops_empty_ones() -> None:
    assert api_keys.clean_globs([" Sample-* ", "", " ", "atlas", "ATLAS"], "A key") == ["atlas", "sample-*"]
    most = [f"name-{number}" for number in range(api_keys.GLOBS_MAX - 1)] + ["x" * identifiers.NAME_MAX_CHARACTERS]
    assert api_keys.clean_globs(most, "A key") == sorted(most)
    for globs in ([*most, "more"], ["x" * (identifiers.NAME_MAX_CHARACTERS + 1)]):
        with pytest.raises(HubError) as caught:
            api_keys.clean_globs(globs, "A key")
        assert caught.value.code == "bad_globs"


def test_audit_detail_identifies_a_key_without_its_row(channel: Channel, olga: User) -> None:
    make_key(olga, channels=[channel], package_globs=("map-*",))
    make_key(olga)
    limited, whole = ApiKey.objects.order_by("pk")
    assert api_keys.audit_detail(limited) == {
        "key": limited.pk,
        "hint": limited.hint,
        "scopes": ["read", "upload"],
        "channels": ["demo"],
        "package_globs": ["map-*"],
        "expires_at": None,
    }
    assert api_keys.audit_detail(whole)["channels"] is None
