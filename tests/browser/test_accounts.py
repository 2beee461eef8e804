"""Tests of accounts in Chromium: by provider, by password and code, with an app, with a virtual passkey."""

import re
from dataclasses import replace

from playwright.sync_api import Page, expect

from tests.accounts import totp
from tests.browser.conftest import PASSWORD, Person, Visit, sign_in
from tests.live import LiveHub
from tests.sign_in_provider import MARA, SignInProvider

SECRET = "JBSWY3DPEHPK3PXP"
AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def by_acme(person: Person, who: str) -> Page:
    page = person.open("/accounts/login/")
    page.get_by_role("button", name="Sign in with Acme").click()
    page.get_by_role("link", name=f"I am {who}").click()
    return page


def press(page: Page, name: str) -> None:
    page.get_by_role("main").get_by_role("button", name=name, exact=True).click()


def test_a_provider_signs_in_at_the_first_visit_and_the_second(visit: Visit, provider: SignInProvider) -> None:
    provider.person = MARA | {"sub": "ida-1", "preferred_username": "ida", "email": "ida@acme.example"}
    for _ in range(2):
        person = visit(None)
        page = by_acme(person, "ida-1")
        page.wait_for_url(f"{person.url}/")
        person.open("/account")
        expect(page.get_by_role("heading", level=1)).to_have_text("ida")
        expect(page.get_by_role("main")).to_contain_text("ida@acme.example")


def test_a_provider_and_an_app_together(hub: LiveHub, visit: Visit, provider: SignInProvider) -> None:
    provider.person = MARA | {"sub": "eva-1", "preferred_username": "eva", "email": "eva@acme.example"}
    first = visit(None)
    by_acme(first, "eva-1").wait_for_url(f"{first.url}/")
    hub.shell(
        f"from allauth.mfa.totp.internal.auth import TOTP\nTOTP.activate(User.objects.get(username='eva'), '{SECRET}')"
    )

    second = visit(None)
    page = by_acme(second, "eva-1")
    page.get_by_label("Code").fill("000000")
    press(page, "Sign in")
    expect(page.get_by_role("main")).to_contain_text("Wrong code")
    page.get_by_label("Code").fill(totp.code(SECRET))
    press(page, "Sign in")
    page.wait_for_url(f"{second.url}/")


def test_signing_up_by_password_and_the_code_in_the_mail(hub: LiveHub, visit: Visit) -> None:
    person = visit(None)
    page = person.open("/accounts/login/")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill("tova")
    page.get_by_label("E-mail").fill("tova@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Sign up")
    expect(page.get_by_role("heading", level=1)).to_have_text("Verify your e-mail")
    mail = hub.log().rpartition("entered this address for the account tova")[2]
    code = re.findall(r"^ {4}(\S+)$", mail, re.MULTILINE)[0]
    page.get_by_label("Code").fill(code)
    press(page, "Confirm")
    page.wait_for_url(f"{person.url}/")
    expect(page.get_by_role("status").filter(has_text="tova@example.org is verified.")).to_be_visible()


def test_an_app_is_set_up_and_a_recovery_code_used(hub: LiveHub, visit: Visit) -> None:
    hub.shell(f"User.objects.create_user('tina', password='{PASSWORD}')")
    page = visit("tina").open("/accounts/2fa/")
    page.get_by_role("link", name="Set up").click()
    expect(page.get_by_role("img", name="QR code of the secret")).to_be_visible()
    page.get_by_label("Code", exact=True).fill(totp.code(page.get_by_role("textbox", name="Secret").input_value()))
    press(page, "Turn on the app")
    codes = page.locator("pre").inner_text().split()
    assert len(codes) == 10

    person = visit(None)
    page = enter_password(person, "tina")
    page.get_by_label("Code").fill(codes[0])
    press(page, "Sign in")
    page.wait_for_url(f"{person.url}/")


def test_a_passkey_is_added_and_signs_in_alone_or_as_the_second_factor(hub: LiveHub, visit: Visit) -> None:
    hub.shell(f"User.objects.create_user('pia', password='{PASSWORD}')")
    stranger = visit(None)
    # Browsers allow passkeys only for host names, not for addresses such as 127.0.0.1.
    person = replace(stranger, url=stranger.url.replace("127.0.0.1", "localhost"))
    devices = person.page.context.new_cdp_session(person.page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    sign_in(person, "pia")

    page = person.open("/accounts/2fa/webauthn/add/")
    page.get_by_label("Name").fill("Pia's laptop")
    press(page, "Add the passkey")
    expect(page.get_by_role("heading", level=2)).to_have_text("Recovery codes")
    expect(person.open("/accounts/2fa/webauthn/").get_by_role("main")).to_contain_text("Pia's laptop")

    sign_out(person)
    press(person.open("/accounts/login/?next=/account/keys"), "Sign in with a passkey")
    page.wait_for_url(f"{person.url}/account/keys")

    sign_out(person)
    press(enter_password(person, "pia"), "Use a passkey")
    page.wait_for_url(f"{person.url}/")


def test_page_without_passkey_support_shows_a_message(visit: Visit) -> None:
    page = visit(None).open("/accounts/login/")
    press(page, "Sign in with a passkey")
    expect(page.get_by_role("alert")).to_contain_text("Passkeys need a host name and https")


def enter_password(person: Person, username: str) -> Page:
    """Sign in as sign_in does, up to the second factor."""
    page = person.open("/accounts/login/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    press(page, "Sign in")
    expect(page.get_by_role("heading", level=1)).to_have_text("Second factor")
    return page


def sign_out(person: Person) -> None:
    page = person.open("/accounts/logout/")
    press(page, "Sign out")
    page.wait_for_url(f"{person.url}/")
