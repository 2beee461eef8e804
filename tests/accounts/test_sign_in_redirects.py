"""Tests of the redirect after sign-in: it leads back to the requested page, for every way in, and to no other site."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel, Role, User
from tests.accounts import totp
from tests.accounts.test_providers import back, request_of, use
from tests.builders import make_artifact, make_channel, make_member, make_user
from tests.mailbox import arrived
from tests.pages import Response
from tests.sign_in_provider import SignInProvider, sign_in_provider

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
SECRET = "JBSWY3DPEHPK3PXP"
HTML = {"Accept": "text/html"}
LOGIN, SIGN_UP, SECOND, VERIFY = (
    "/accounts/login/",
    "/accounts/signup/",
    "/accounts/2fa/authenticate/",
    "/accounts/confirm-email/",
)
PAGE = "/channels/demo/packages/pack?version=1.0&q=a+b"
PAGES = [
    "/channels/{}",
    "/channels/{}?q=x&platform=noarch",
    "/channels/{}/packages/pack",
    "/channels/{}/packages/pack?version=1.0",
    "/channels/{}/artifacts/noarch/pack-1.0-0.conda",
    "/channels/{}/settings",
    "/channels/{}/settings/members",
    "/channels/{}/settings/policies",
    "/channels/{}/settings/danger",
    "/channels/{}/settings/publishers",
    "/channels/{}/leave",
    "/channels/{}/nothing/at/all",
]
LEADING_ON = ["/channels/{}/settings/upload", "/channels/{}/artifacts/noarch/pack-1.0-0.conda/remove?action=yank"]
ELSEWHERE = [
    "https://evil.example.org/",
    "//evil.example.org/channels/demo",
    "///evil.example.org",
    "/\\evil.example.org",
    "\\\\evil.example.org",
    "https:evil.example.org",
    "http:///evil.example.org",
    "javascript:alert(1)",
    " //evil.example.org",
    "/\t/evil.example.org",
    "https://testserver@evil.example.org/",
]


@pytest.fixture
def mara(channel: Channel) -> User:
    """Return a member of the private channel demo."""
    make_artifact(channel, "pack")
    user = make_user("mara", password=PASSWORD)
    make_member(channel, user, Role.OWNER)
    return user


@pytest.fixture
def acme(settings: Settings) -> Iterator[SignInProvider]:
    with sign_in_provider() as provider:
        use(settings, provider)
        yield provider


def sign_in_targets(answer: Response) -> set[str]:
    """List the targets of a page's sign-in links."""
    return {unescape(href) for href in re.findall(rf'href="({LOGIN}[^"]*)"', answer.text)}


def sent(page: Response, button: str) -> dict[str, str]:
    """Return the fields of the form with `button`, as the page fills them."""
    forms = re.findall(r"<form.*?</form>", page.text, re.DOTALL)
    [form] = [form for form in forms if button in form]
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in fields}


def by_password(client: Client, address: str) -> Response:
    fields = sent(client.get(address), "Forgot your password?")
    return client.post(LOGIN, fields | {"login": "mara", "password": PASSWORD})


def by_provider(page: Response) -> str:
    """Return the target of the provider's form."""
    return unescape(re.findall(r'action="([^"]*/oidc/acme/login/[^"]*)"', page.text)[0])


@pytest.mark.parametrize("page", PAGES)
def test_page_that_a_visitor_may_not_see_offers_the_way_in_and_back(mara: User, page: str) -> None:
    address = page.format("demo")
    answer = Client().get(address, headers=HTML)
    assert answer.status_code == 404
    assert len(sign_in_targets(answer)) == 1
    client = Client()
    assert by_password(client, sign_in_targets(answer).pop()).headers["Location"] == address


@pytest.mark.parametrize("page", LEADING_ON)
def test_page_for_members_leads_a_visitor_in_and_back(mara: User, page: str) -> None:
    address = page.format("demo")
    answer = Client().get(address, headers=HTML)
    assert by_password(Client(), answer.headers["Location"]).headers["Location"] == address


@pytest.mark.parametrize("page", [*PAGES, *LEADING_ON])
def test_private_and_missing_pages_are_byte_for_byte_alike(mara: User, page: str) -> None:
    private, missing = (Client().get(page.format(name), headers=HTML) for name in ("demo", "void"))
    assert private.status_code == missing.status_code
    assert private.content.replace(b"demo", b"void") == missing.content
    location = private.headers.get("Location", "").replace("demo", "void")
    assert location == missing.headers.get("Location", "")


def test_page_that_may_not_be_seen_after_signing_in_is_404_without_the_offer(mara: User, olga: User) -> None:
    make_channel("other", owner=olga)
    client = Client()
    by_password(client, f"{LOGIN}?next=/channels/other")
    private, missing = (client.get(f"/channels/{name}", headers=HTML) for name in ("other", "void"))
    assert (private.status_code, sign_in_targets(private)) == (404, set())
    assert without_token(private).replace("other", "void") == without_token(missing)


def without_token(page: Response) -> str:
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page.text)


def test_second_factor_leads_back(client: Client, mara: User) -> None:
    TOTP.activate(mara, SECRET)
    RecoveryCodes.activate(mara)
    [offer] = sign_in_targets(client.get(PAGE, headers=HTML))
    assert by_password(client, offer).headers["Location"].partition("?")[0] == SECOND
    client.post(SECOND, {"code": "000000"})
    assert client.post(SECOND, {"code": totp.code(SECRET)}).headers["Location"] == PAGE


def test_passkey_form_leads_back(client: Client, mara: User) -> None:
    """Check the form only; tests/browser/test_accounts.py tests the passkey in a browser."""
    [offer] = sign_in_targets(client.get(PAGE, headers=HTML))
    assert sent(client.get(offer), "passkey_button")["next"] == PAGE


def test_provider_leads_back(client: Client, mara: User, acme: SignInProvider) -> None:
    [offer] = sign_in_targets(client.get(PAGE, headers=HTML))
    action = by_provider(client.get(offer))
    assert client.get(back(acme, request_of(client, action))).headers["Location"] == PAGE


def test_signing_up_leads_back(client: Client, mara: User, settings: Settings) -> None:
    settings.HUB_SIGN_UP = "open"
    [offer] = sign_in_targets(client.get(PAGE, headers=HTML))
    link = re.findall(rf'href="({SIGN_UP}[^"]*)"', client.get(offer).text)[0]
    page = client.get(unescape(link))
    fields = sent(page, "E-mail") | {"username": "ada", "email": "ada@example.org", "password1": "granite-Window-9"}
    assert client.post(SIGN_UP, fields).headers["Location"] == VERIFY
    code = str(re.findall(r"^ {4}(\S+)$", str(arrived()[-1].body), re.MULTILINE)[0])
    assert client.post(VERIFY, {"code": code}).headers["Location"] == PAGE


def test_link_between_signing_in_and_up_keeps_the_way_back(client: Client, settings: Settings) -> None:
    settings.HUB_SIGN_UP = "open"
    page = client.get(SIGN_UP, {"next": PAGE})
    assert {sent(client.get(link), "passkey_button")["next"] for link in sign_in_targets(page)} == {PAGE}


@pytest.mark.parametrize("target", ELSEWHERE)
def test_way_back_to_another_site_leads_home(mara: User, acme: SignInProvider, target: str) -> None:
    for form in ({"next": target}, {}):
        client = Client()
        answer = client.post(f"{LOGIN}?next=/", {"login": "mara", "password": PASSWORD} | form)
        assert answer.headers["Location"] == "/"
    page = Client().get(LOGIN, {"next": target})
    assert by_password(Client(), page.wsgi_request.get_full_path()).headers["Location"] == "/"
    client = Client()
    action = by_provider(client.get(LOGIN, {"next": target}))
    assert client.get(back(acme, request_of(client, action))).headers["Location"] == "/"


def test_page_that_is_below_no_host_of_the_hub_leads_nowhere_else(client: Client, mara: User) -> None:
    answer = client.get("/", headers=HTML, PATH_INFO="//evil.example.org/channels")
    for offer in sign_in_targets(answer):
        assert by_password(Client(), offer).headers["Location"] in ("/", "/%2Fevil.example.org/channels")
