"""Tests of the rate limits of routes: the counted requests, the key of each count, and the page at the limit."""

from types import SimpleNamespace

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from channels_app.models import RateCount, User
from channels_app.rate_limits import counters
from channels_app.site.route_limits import ROUTES, TRIALS
from tests.builders import make_key, make_user
from tests.pages import signed_in, text
from tests.routes import every_route

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stop the clock of the counters at 20 seconds into every window."""
    clock = SimpleNamespace(now=1_799_964_000 + 20)
    clock.time = lambda: clock.now
    monkeypatch.setattr(counters, "time", clock)
    return clock


@pytest.fixture
def pat(db: None) -> User:
    return make_user("pat", password=PASSWORD, email="pat@example.org")


def few(settings: Settings, name: str, most: int = 2) -> None:
    settings.HUB_RATE_LIMITS = {name: most}


def sign_in(name: str, password: str = WRONG, address: str = "192.0.2.1", accept: str = "text/html") -> object:
    client = Client(REMOTE_ADDR=address)
    return client.post(reverse("account_login"), {"login": name, "password": password}, headers={"Accept": accept})


def statuses(*responses: object) -> list[int]:
    return [response.status_code for response in responses]  # type: ignore[attr-defined]


def test_every_route_that_is_limited_exists() -> None:
    assert set(ROUTES) | TRIALS <= set(every_route())


def test_every_limit_of_a_route_is_in_the_table() -> None:
    assert {limit.name for row in ROUTES.values() for limit in row} <= set(counters.LIMITS)


def test_sign_ins_to_one_account_are_limited_from_wherever_they_come(settings: Settings, pat: User) -> None:
    few(settings, "sign-in-by-account")
    answers = [sign_in("pat", address=f"192.0.2.{number}") for number in range(3)]
    assert statuses(*answers) == [200, 200, 429]
    assert statuses(sign_in("pat", PASSWORD, address="192.0.2.9")) == [429]


@pytest.mark.parametrize("other", ["PAT", " pat ", "pat@example.org", "Pat@Example.ORG"])
def test_account_has_one_count_for_name_and_addresses(settings: Settings, pat: User, other: str) -> None:
    few(settings, "sign-in-by-account")
    answers = [sign_in(name) for name in ("pat", other, "pat")]
    assert statuses(*answers) == [200, 200, 429]


def test_accounts_that_do_not_exist_are_limited_alike(settings: Settings) -> None:
    few(settings, "sign-in-by-account")
    answers = [sign_in("nobody") for _ in range(3)]
    assert statuses(*answers) == [200, 200, 429]


def test_sign_ins_from_one_address_are_limited_over_all_accounts(settings: Settings, pat: User) -> None:
    few(settings, "sign-in-by-address")
    answers = [sign_in(name) for name in ("ann", "ben", "pat")]
    assert statuses(*answers) == [200, 200, 429]
    assert statuses(sign_in("pat", PASSWORD, address="198.51.100.1")) == [302]


def test_after_the_wait_it_may_be_tried_again(settings: Settings, pat: User, clock: SimpleNamespace) -> None:
    few(settings, "sign-in-by-account")
    answers = [sign_in("pat") for _ in range(3)]
    clock.now += int(answers[2].headers["Retry-After"])  # type: ignore[attr-defined]
    assert statuses(*answers, sign_in("pat", PASSWORD)) == [200, 200, 429, 302]


def test_browsers_get_a_page_and_others_a_sentence(settings: Settings, pat: User) -> None:
    few(settings, "sign-in-by-account", 1)
    sentence = "Too many tries to sign in to this account: more than 1 within 300 seconds. Try again in 280 seconds."
    sign_in("pat")
    page, plain = sign_in("pat"), sign_in("pat", accept="*/*")
    for answer in (page, plain):
        assert answer.headers["Retry-After"] == "280"  # type: ignore[attr-defined]
        assert answer.headers["Cache-Control"] == "no-store"  # type: ignore[attr-defined]
        assert sentence in text(answer)
    assert "Too many attempts</h1>" in text(page)
    assert plain.content.decode() == f"{sentence}\n"  # type: ignore[attr-defined]


def test_viewing_a_page_is_not_counted(settings: Settings) -> None:
    few(settings, "sign-in-by-address", 1)
    answers = [Client().get(reverse("account_login")) for _ in range(3)]
    assert statuses(*answers) == [200, 200, 200]
    assert not RateCount.objects.exists()


def test_a_device_code_in_the_address_is_a_try(settings: Settings, pat: User) -> None:
    few(settings, "device-code-by-account")
    browser = signed_in(pat)
    address = reverse("idp:oidc:device_authorization")
    answers = [browser.get(address, {"code": f"ABCD-{number}"}) for number in range(3)]
    assert answers[2].status_code == 429


@pytest.mark.parametrize(
    ("route", "limit", "body"),
    [
        ("account_reset_password", "password-reset-by-address", {"email": "{}@example.org"}),
        ("account_reset_password", "mail-by-recipient", {"email": "pat@example.org"}),
        ("account_signup", "sign-up-by-address", {"email": "{}@example.org"}),
        ("idp:oidc:token", "token-by-address", {"grant_type": "refresh_token", "refresh_token": "{}"}),
        ("idp:oidc:device_code", "device-by-address", {"client_id": "{}"}),
    ],
)
def test_routes_for_visitors_are_limited(settings: Settings, route: str, limit: str, body: dict[str, str]) -> None:
    few(settings, limit)
    answers = [
        Client().post(reverse(route), {name: value.format(number) for name, value in body.items()})
        for number in range(3)
    ]
    assert 429 not in statuses(*answers[:2])
    assert statuses(answers[2]) == [429]


@pytest.mark.parametrize(
    ("route", "limit", "body"),
    [
        ("account_reauthenticate", "confirm-by-account", {"password": WRONG}),
        ("account_change_password", "confirm-by-account", {"oldpassword": WRONG}),
        ("account_email", "email-by-account", {"action_add": "", "email": "{}@example.org"}),
    ],
)
def test_routes_for_accounts_are_limited(
    settings: Settings, pat: User, route: str, limit: str, body: dict[str, str]
) -> None:
    few(settings, limit)
    browsers = [signed_in(pat, REMOTE_ADDR=f"192.0.2.{number}") for number in range(3)]
    answers = [
        browser.post(reverse(route), {name: value.format(number) for name, value in body.items()})
        for number, browser in enumerate(browsers)
    ]
    assert 429 not in statuses(*answers[:2])
    assert statuses(answers[2]) == [429]


def test_limits_hold_while_the_cache_is_away(settings: Settings, pat: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError("no cache here")

    for verb in ("get", "set", "add"):
        monkeypatch.setattr(type(cache._connections["default"]), verb, fails)  # type: ignore[attr-defined]
    few(settings, "sign-in-by-account")
    answers = [sign_in("pat") for _ in range(3)]
    assert statuses(*answers) == [200, 200, 429]


def test_keys_are_limited_and_can_always_be_revoked(settings: Settings, pat: User) -> None:
    few(settings, "key-by-account")
    browser, keys = signed_in(pat), reverse("account-keys")
    assert statuses(*[browser.post(keys, {"name": "x"}) for _ in range(3)]) == [200, 200, 429]
    assert browser.post(keys, {"revoke": "0"}).status_code == 404


def test_wrong_keys_are_limited_and_right_ones_are_not(settings: Settings, pat: User) -> None:
    few(settings, "wrong-key-by-address")
    wrong, right = ({"authorization": f"Bearer {key}"} for key in ("chub-wrong", make_key(pat)))
    assert statuses(*[Client().get(reverse("whoami"), headers=wrong) for _ in range(3)]) == [401, 401, 429]
    assert Client().get(reverse("whoami"), headers=right).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/me"), ("GET", "/anaconda/user"), ("POST", "/anaconda/authentications")],
)
def test_wrong_keys_of_client_protocols_are_limited(settings: Settings, pat: User, method: str, path: str) -> None:
    few(settings, "wrong-key-by-address")
    wrong = {"authorization": "Bearer chub-wrong"}
    assert statuses(*[Client().generic(method, path, headers=wrong) for _ in range(3)]) == [401, 401, 429]


def test_routes_without_a_row_are_not_counted(pat: User) -> None:
    signed_in(pat).post(reverse("channel-new"), {"name": "demo"})
    assert not RateCount.objects.exists()
