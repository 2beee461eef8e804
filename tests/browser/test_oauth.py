"""Tests of pixi's sign-in in the browser, up to the redirect to the program, with the hub's policy enforced."""

import httpx2
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visit
from tests.clients.signing_in import ANSWER_S, SignInError, by_browser, by_device
from tests.live import LiveHub

SIGN_IN = "Sign in pixi / rattler"


def read_status(hub: LiveHub, channel: str, token: str) -> int:
    url = f"{hub.url}/{channel}/noarch/repodata.json"
    return httpx2.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=ANSWER_S).status_code


def sign_in_on_the_way(page: Page) -> None:
    page.get_by_label("User name").fill("olga")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_from_the_program_to_the_hub_and_back(hub: LiveHub, visit: Visit, javascript: bool) -> None:
    channel = f"signed-in-{'script' if javascript else 'plain'}"
    hub.manage("createchannel", channel, "--owner", "olga")
    page = visit(None, javascript=javascript).page

    def browse(address: str) -> None:
        page.goto(address)
        sign_in_on_the_way(page)
        expect(page.get_by_role("heading", name=f"{SIGN_IN}?")).to_be_visible()
        expect(page.get_by_role("main")).to_contain_text("As olga, pixi / rattler will be able to")
        page.get_by_role("button", name=SIGN_IN).click()
        expect(page.get_by_role("heading", name="Back at pixi")).to_be_visible()

    credential = by_browser(hub.url, browse)
    token = credential["OAuth"]["access_token"]
    assert read_status(hub, channel, token) == 200

    page.goto(f"{hub.url}/account/applications")
    row = page.get_by_role("row", name="pixi / rattler")
    expect(row).to_contain_text("Upload packages to every channel that you may upload to")
    row.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke pixi / rattler").click()
    expect(page.get_by_text("pixi / rattler can no longer access your account.")).to_be_visible()
    assert read_status(hub, channel, token) == 401


def test_cancelling_goes_back_too(hub: LiveHub, visit: Visit) -> None:
    page = visit("olga").page

    def browse(address: str) -> None:
        answer = page.goto(address)
        assert answer is not None
        assert "form-action 'self' http://127.0.0.1:" in answer.headers["content-security-policy"]
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("heading", name="Back at pixi")).to_be_visible()

    with pytest.raises(SignInError, match="access_denied"):
        by_browser(hub.url, browse)


def test_device_signs_in_by_a_code(hub: LiveHub, visit: Visit) -> None:
    page = visit("olga").page

    def browse(address: str) -> None:
        place, _, code = address.partition("?code=")
        page.goto(place)
        page.get_by_label("The code that your device shows").fill(code.replace("-", "").lower())
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("main")).to_contain_text(code)
        expect(page.get_by_role("main")).to_contain_text("If somebody sent you the code or a link to this page")
        page.get_by_role("button", name="The code is mine, sign in").click()
        expect(page.get_by_role("heading", name="pixi / rattler is signed in")).to_be_visible()

    hub.manage("createchannel", "signed-in-device", "--owner", "olga")
    credential = by_device(hub.url, browse)
    assert read_status(hub, "signed-in-device", credential["OAuth"]["access_token"]) == 200
