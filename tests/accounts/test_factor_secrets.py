"""Tests of encrypted second factors: the database reveals no code, and SECRET_KEY can be rotated."""

import json
from io import StringIO

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from channels_app.accounts import factor_secrets
from channels_app.audit import notifications
from channels_app.models import AuditEvent, User
from hub.errors import HubError
from tests.accounts import totp
from tests.builders import make_user

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXP"
SEED = "0123456789abcdef" * 5
PASSWORD = "tungsten-Lantern-7"
LOGIN, SECOND = "/accounts/login/", "/accounts/2fa/authenticate/"


@pytest.fixture
def mara(db: None) -> User:
    return make_user("mara", password=PASSWORD, email="mara@example.org")


def plain_factors(user: User) -> None:
    """Store the factors as an earlier version did."""
    Authenticator.objects.create(user=user, type="totp", data={"secret": SECRET})
    Authenticator.objects.create(user=user, type="recovery_codes", data={"seed": SEED, "used_mask": 5})


def stored() -> str:
    return json.dumps(list(Authenticator.objects.order_by("type").values_list("data", flat=True)))


def start(**options: str) -> str:
    """Return the output of the hub's start."""
    err = StringIO()
    call_command("preparehub", verbosity=0, stdout=StringIO(), stderr=err)
    return err.getvalue()


def signs_in(code: str) -> bool:
    client = Client()
    client.post(LOGIN, {"login": "mara", "password": PASSWORD})
    client.post(SECOND, {"code": code})
    return client.get("/account").status_code == 200


def test_new_factors_are_encrypted(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    codes = RecoveryCodes.activate(mara)
    assert SECRET not in stored()
    assert factor_secrets.decrypt(codes.instance.data["seed"]) not in stored()
    assert not [code for code in codes.generate_codes() if code in stored()]
    assert stored().count(factor_secrets.PREFIX) == 2
    assert signs_in(totp.code(SECRET))


def test_one_secret_is_never_encrypted_alike(mara: User) -> None:
    assert factor_secrets.encrypt(SECRET) != factor_secrets.encrypt(SECRET)


def test_unencrypted_factors_are_read_and_encrypted_at_the_next_start(mara: User) -> None:
    plain_factors(mara)
    codes = RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes()
    assert signs_in(codes[0])
    assert start() == ""
    assert SECRET not in stored()
    assert SEED not in stored()
    assert RecoveryCodes(Authenticator.objects.get(type="recovery_codes")).get_unused_codes() == codes[1:]
    assert signs_in(codes[1])
    before = stored()
    assert start() == ""
    assert stored() == before


def test_migrated_codes_are_encrypted_too(mara: User) -> None:
    Authenticator.objects.create(user=mara, type="recovery_codes", data={"migrated_codes": ["11112222", "33334444"]})
    start()
    assert "1111" not in stored()
    assert RecoveryCodes(Authenticator.objects.get()).get_unused_codes() == ["11112222", "33334444"]


def test_passkeys_stay_as_they_are(mara: User) -> None:
    Authenticator.objects.create(user=mara, type="webauthn", data={"name": "Key", "credential": {}})
    start()
    assert Authenticator.objects.get().data == {"name": "Key", "credential": {}}


def test_another_secret_key_takes_over(mara: User, settings: Settings) -> None:
    settings.SECRET_KEY = "old"
    TOTP.activate(mara, SECRET)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", ["older", "old"]
    assert factor_secrets.decrypt(Authenticator.objects.get().data["secret"]) == SECRET
    start()
    settings.SECRET_KEY_FALLBACKS = []
    assert factor_secrets.decrypt(Authenticator.objects.get().data["secret"]) == SECRET


def test_lost_secret_key_is_reported_and_keeps_the_factors(mara: User, settings: Settings) -> None:
    settings.SECRET_KEY = "old"
    TOTP.activate(mara, SECRET)
    before = stored()
    settings.SECRET_KEY = "new"
    said = start()
    assert said.startswith("1 second factors can't be read: they were set up with a different SECRET_KEY.")
    assert stored() == before
    with pytest.raises(HubError, match="The hub can't read your second factor"):
        factor_secrets.decrypt(Authenticator.objects.get().data["secret"])
    settings.SECRET_KEY_FALLBACKS = ["old"]
    assert start() == ""


def test_cipher_of_another_purpose_decrypts_no_factor(settings: Settings) -> None:
    """Check that the key is derived for this purpose only."""
    encrypted = factor_secrets.encrypt(SECRET)
    settings.SECRET_KEY = settings.SECRET_KEY + " "
    with pytest.raises(HubError):
        factor_secrets.decrypt(encrypted)


def test_an_administrator_removes_lost_factors_by_command(mara: User) -> None:
    TOTP.activate(mara, SECRET)
    RecoveryCodes.activate(mara)
    out = StringIO()
    call_command("removefactors", "mara", stdout=out)
    assert out.getvalue() == "Removed the second factors of mara: an authenticator app, recovery codes.\n"
    assert not Authenticator.objects.exists()
    event = AuditEvent.objects.get(action="user.factors_remove")
    assert (event.target, event.actor, event.detail["fields"]) == (
        "mara",
        None,
        {"factors": "an authenticator app, recovery codes"},
    )
    assert notifications.recipients(event.pk) == [mara.pk]
    call_command("removefactors", "mara", stdout=out)
    assert out.getvalue().endswith("mara has no second factors.\n")
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("removefactors", "nobody")
