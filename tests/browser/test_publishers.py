"""Tests of a trusted publisher in the browser: added, not pinned yet, used by a real exchange, pinned, removed."""

import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.live import LiveHub
from tests.oidc import FakeIssuer

REGISTER = "from publishing.models import Issuer; Issuer.objects.get_or_create(url='{}', provider='github')"


def exchange(hub: LiveHub, issuer: FakeIssuer) -> str:
    """Exchange a GitHub-like token for a short-lived token."""
    body = json.dumps({"token": issuer.token()}).encode()
    with urlopen(Request(f"{hub.url}/api/oidc/mint_token", body, {"Content-Type": "application/json"})) as answer:
        return str(answer.read().decode())


def upload_status(hub: LiveHub, channel: str, key: str) -> int:
    """Return the status of an empty upload: 400 if the key is valid."""
    try:
        urlopen(Request(f"{hub.url}/api/v1/upload/{channel}", b"", {"Authorization": f"Bearer {key}"}))
    except HTTPError as error:
        return error.code
    return 200


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_publisher_is_added_used_and_removed(hub: LiveHub, issuer: FakeIssuer, visit: Visit, javascript: bool) -> None:
    channel = "published-by-script" if javascript else "published-by-form"
    hub.manage("createchannel", channel, "--owner", "olga")
    hub.shell(REGISTER.format(issuer.url))
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}/settings")
    page.get_by_role("link", name="Trusted publishers").click()
    expect(page.get_by_text("No trusted publishers yet")).to_be_visible()
    page.get_by_role("link", name="GitHub Actions").click()
    page.get_by_label("Issuer", exact=True).select_option(issuer.url)
    page.get_by_label("Repository", exact=True).fill("octo-org/sample")
    page.get_by_label("Workflow", exact=True).fill("release.yaml.txt")
    page.get_by_role("button", name="Add publisher").click()
    expect(page.get_by_text("Workflow is 'release.yaml.txt'; expected a file name")).to_be_visible()
    page.get_by_label("Workflow", exact=True).fill("release.yml")
    page.get_by_role("button", name="Add publisher").click()

    expect(page.get_by_text("octo-org/sample is a trusted publisher now.")).to_be_visible()
    expect(page.get_by_text("id-token: write", exact=False).last).to_be_visible()
    row = page.get_by_role("row", name="octo-org/sample")
    expect(row).to_contain_text("Not pinned yet")
    expect(row).to_contain_text("never")

    key = exchange(hub, issuer)
    assert upload_status(hub, channel, key) == 400
    page.reload()
    expect(row).to_contain_text("Pinned")
    expect(row).to_contain_text("just now")

    row.get_by_role("link", name="Remove").click()
    page.get_by_role("button", name="Remove octo-org/sample").click()
    expect(page.get_by_text("octo-org/sample is no trusted publisher any more.")).to_be_visible()
    assert upload_status(hub, channel, key) == 403
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("main")).to_contain_text("pinned GitHub Actions: octo-org/sample at its first use")
