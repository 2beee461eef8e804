"""Tests of sign-in through OpenID Connect: first and later visits, matching accounts, and groups."""

import logging
import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import get_user
from django.test import Client
from pytest_django import Settings

from channels_app.models import TeamMember, User
from tests.accounts import totp
from tests.builders import make_address, make_team, make_user
from tests.mailbox import arrived
from tests.pages import Response, events, signed_in, text
from tests.sign_in_provider import MARA, SignInProvider, sign_in_provider

pytestmark = pytest.mark.django_db

SECRET = "JBSWY3DPEHPK3PXP"
LOGIN = "/accounts/oidc/acme/login/"
CLOSED = "You need an invitation to sign up on this hub."


@pytest.fixture
def acme(settings: Settings) -> Iterator[SignInProvider]:
    with sign_in_provider() as provider:
        use(settings, provider)
        yield provider


def use(settings: Settings, provider: SignInProvider, **changes: Any) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"APPS": [provider.app(**changes)], "OAUTH_PKCE_ENABLED": True},
        "github": {"APPS": [{"client_id": "id", "secret": "x"}]},
    }


def sign_in(client: Client, acme: SignInProvider, path: str = LOGIN) -> Response:
    """Sign in through the provider and return the response to the callback."""
    return client.get(back(acme, request_of(client, path)))


def request_of(client: Client, path: str = LOGIN) -> dict[str, str]:
    """Return the authorization request of the hub's form."""
    leaving = text(client.post(path))
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', leaving)
    assert found, leaving
    return dict(parse_qsl(urlsplit(unescape(found[1])).query))


def back(acme: SignInProvider, request: dict[str, str]) -> str:
    return acme.back(request).removeprefix("http://testserver")


def signed_in_name(client: Client) -> str:
    return get_user(client).get_username()


def test_the_first_visit_makes_an_account_and_the_second_finds_it(client: Client, acme: SignInProvider) -> None:
    assert sign_in(client, acme).headers["Location"] == "/"
    address = EmailAddress.objects.get()
    assert (signed_in_name(client), address.email, address.verified) == ("mara", "mara@acme.example", True)

    again = Client()
    acme.person["email"] = "mara@elsewhere.example"
    assert sign_in(again, acme, f"{LOGIN}?next=/channels").headers["Location"] == "/channels"
    assert (signed_in_name(again), User.objects.count()) == ("mara", 1)


def test_a_form_leads_to_no_other_site_by_itself(client: Client, acme: SignInProvider) -> None:
    """Check the redirect: browsers apply form-action to all redirects of a form, including the provider's own."""
    answer = client.post(LOGIN)
    assert (answer.status_code, "form-action 'self'" in answer.headers["Content-Security-Policy"]) == (200, True)
    assert f"{acme.url}/authorization_endpoint?" in text(answer)
    assert "https://github.com/login/oauth/authorize?" in text(client.post("/accounts/github/login/"))
    assert "Continue to GitHub" in text(client.get("/accounts/github/login/"))


def test_the_request_is_bound_to_the_browser(client: Client, acme: SignInProvider) -> None:
    request = request_of(client)
    assert set(request["scope"].split()) == {"openid", "profile", "email"}
    assert request["code_challenge_method"] == "S256"
    stolen = Client().get(back(acme, request))
    assert "The response of the sign-in provider is not valid" in text(stolen)
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"preferred_username": "Mara"}, "Mara"),
        ({"preferred_username": "mara@acme.example"}, "mara"),
        ({"preferred_username": None}, "mara"),
        ({"preferred_username": "OLGA"}, "mara"),
        ({"preferred_username": "маra"}, "mara"),  # noqa: RUF001  (the first letters are Cyrillic)
    ],
)
def test_user_names_are_made_from_the_providers_claims(
    client: Client, acme: SignInProvider, olga: User, said: dict[str, str], name: str
) -> None:
    acme.person |= said
    sign_in(client, acme)
    assert signed_in_name(client) == name


def test_without_an_address_one_is_asked_for(client: Client, acme: SignInProvider, settings: Settings) -> None:
    settings.HUB_SIGN_UP = "open"
    del acme.person["email"]
    assert sign_in(client, acme).headers["Location"] == "/accounts/3rdparty/signup/"
    page = "/accounts/3rdparty/signup/"
    assert "Sign up with Acme" in text(client.get(page))
    sent = client.post(page, {"username": "mara", "email": "mara@example.org"})
    assert (sent.headers["Location"], arrived()[-1].to) == ("/accounts/confirm-email/", ["mara@example.org"])


def test_an_address_that_the_provider_did_not_verify_is_verified_here(client: Client, acme: SignInProvider) -> None:
    acme.person["email_verified"] = False
    assert sign_in(client, acme).headers["Location"] == "/accounts/confirm-email/"
    assert signed_in_name(client) == ""


@pytest.mark.parametrize(
    ("policy", "email", "verified", "may"),
    [
        ("invitation", "mara@acme.example", True, False),
        ("open", "mara@acme.example", False, True),
        ("domains", "mara@acme.example", True, True),
        ("domains", "mara@acme.example", False, False),
        ("domains", "mara@other.example", True, False),
    ],
)
def test_provider_without_sign_up_follows_the_hubs_policy(
    client: Client, acme: SignInProvider, settings: Settings, policy: str, email: str, verified: bool, may: bool
) -> None:
    use(settings, acme, sign_up=False)
    settings.HUB_SIGN_UP, settings.HUB_SIGN_UP_DOMAINS = policy, ["acme.example"]
    acme.person |= {"email": email, "email_verified": verified}
    answer = sign_in(client, acme)
    assert (User.objects.exists(), answer.status_code == 200 and CLOSED in text(answer)) == (may, not may)


def test_a_known_address_leads_into_its_account_only_by_a_trusted_provider(
    acme: SignInProvider, settings: Settings
) -> None:
    own = make_user("own", email="mara@acme.example")
    make_address(own, "mara@acme.example")
    client = Client()
    assert sign_in(client, acme).headers["Location"] == "/accounts/confirm-email/"
    assert (signed_in_name(client), User.objects.count()) == ("", 1)
    assert "To sign in with another provider in future, connect it first" in str(arrived()[-1].body)

    use(settings, acme, email_authentication=True, verified_email=True)
    assert sign_in(client, acme).headers["Location"] == "/"
    assert (signed_in_name(client), SocialAccount.objects.get().user) == ("own", own)


def test_by_hand_any_account_is_connected_and_disconnected(acme: SignInProvider, olga: User) -> None:
    client = signed_in(olga)
    sign_in(client, acme, f"{LOGIN}?process=connect")
    page = text(client.get("/accounts/3rdparty/"))
    assert "The account is connected. You can now sign in with it." in page
    assert "Disconnect Acme" in page
    account = SocialAccount.objects.get(user=olga)

    refused = client.post("/accounts/3rdparty/", {"account": account.pk})
    assert "This is the only way to sign in to your account. Set a password first." in text(refused)

    make_address(olga, "olga@example.org")
    olga.set_password("granite-Window-9")
    olga.save()
    client.force_login(olga)
    client.post("/accounts/reauthenticate/", {"password": "granite-Window-9"})
    client.post("/accounts/3rdparty/", {"account": account.pk})
    assert not SocialAccount.objects.exists()


def test_ended_accounts_are_let_in_by_no_provider(client: Client, acme: SignInProvider) -> None:
    sign_in(client, acme)
    User.objects.update(is_active=False)
    again = Client()
    assert sign_in(again, acme).headers["Location"] == "/accounts/inactive/"
    assert signed_in_name(again) == ""


def test_unreachable_provider_shows_an_error(client: Client, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [SignInProvider(9).app()]}}
    answer = client.post(LOGIN)
    assert (answer.status_code, "The sign-in provider does not respond." in text(answer)) == (502, True)


def test_refused_code_shows_an_error_and_is_logged(
    client: Client, acme: SignInProvider, caplog: pytest.LogCaptureFixture
) -> None:
    request = request_of(client)
    path = back(acme, request)
    acme.codes.clear()
    assert "The response of the sign-in provider is not valid" in text(client.get(path))
    assert "A sign-in by acme failed" in caplog.text


def teams_of(name: str) -> set[str]:
    return set(TeamMember.objects.filter(user__username=name).values_list("team__name", flat=True))


def test_groups_fill_teams_and_empty_them(client: Client, acme: SignInProvider) -> None:
    make_team("mappers", group="acme:maps")
    make_team("sailors", group="acme:ships")
    acme.person["groups"] = ["maps", "unknown"]
    sign_in(client, acme)
    assert teams_of("mara") == {"mappers"}

    acme.person["groups"] = ["ships"]
    sign_in(Client(), acme)
    assert teams_of("mara") == {"sailors"}
    told = [event for event in events() if event[0].startswith("team.")]
    assert told == [
        ("team.add", "mappers", {"user": "mara", "group": "acme:maps"}),
        ("team.remove", "mappers", {"user": "mara", "group": "acme:maps"}),
        ("team.add", "sailors", {"user": "mara", "group": "acme:ships"}),
    ]


def test_groups_are_followed_after_the_second_factor(client: Client, acme: SignInProvider) -> None:
    make_team("mappers", group="acme:maps")
    sign_in(client, acme)
    TOTP.activate(User.objects.get(), SECRET)
    acme.person["groups"] = ["maps"]
    again = Client()
    assert sign_in(again, acme).headers["Location"] == "/accounts/2fa/authenticate/"
    assert teams_of("mara") == set()
    again.post("/accounts/2fa/authenticate/", {"code": totp.code(SECRET)})
    assert (signed_in_name(again), teams_of("mara")) == ("mara", {"mappers"})


def test_groups_leave_manual_members_and_other_providers_teams_unchanged(client: Client, acme: SignInProvider) -> None:
    sign_in(client, acme)
    mara = User.objects.get()
    make_team("mappers", mara, group="acme:maps")
    other = make_team("sailors", group="uni:ships")
    TeamMember.objects.create(team=other, user=mara, is_by_group=True)
    make_team("plain", group="ships")
    acme.person["groups"] = ["ships", "uni:ships"]
    sign_in(Client(), acme)
    assert teams_of("mara") == {"mappers", "sailors"}


@pytest.mark.parametrize("said", ["maps", {"maps": True}, [1], None])
def test_malformed_groups_change_no_team(
    client: Client, acme: SignInProvider, said: object, caplog: pytest.LogCaptureFixture
) -> None:
    make_team("mappers", group="acme:maps")
    acme.person["groups"] = ["maps"]
    sign_in(client, acme)
    acme.person["groups"] = said
    with caplog.at_level(logging.WARNING):
        sign_in(Client(), acme)
    assert teams_of("mara") == {"mappers"}
    assert "mara signed in by acme, whose claim 'groups' is not a list of group names" in caplog.text


def test_missing_groups_claim_changes_no_team(client: Client, acme: SignInProvider, settings: Settings) -> None:
    make_team("mappers", group="acme:maps")
    use(settings, acme, groups_claim="roles")
    acme.person["roles"] = ["maps"]
    sign_in(client, acme)
    del acme.person["roles"]
    sign_in(Client(), acme)
    assert teams_of("mara") == {"mappers"}
    assert MARA["sub"] == SocialAccount.objects.get().uid
