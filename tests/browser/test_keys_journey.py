"""Tests of a key in the browser: created, copied, used by real clients, examined by the doctor, revoked."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from rattler_build import upload_package_to_prefix

from tests.archives import make_conda
from tests.browser.conftest import Visit, copied
from tests.clients.plain import seconds_until_indexed
from tests.clients.reader import Reader, ReadError
from tests.live import LiveHub


def make_key(page: Page, name: str, channel: str) -> str:
    """Create a key for reading and uploading in one channel for 30 days. Return the secret that the page shows."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Upload").check()
    page.get_by_label("Selected channels").check()
    page.get_by_label(channel, exact=True).check()
    page.get_by_label("Expires").select_option("In 30 days")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_text("The key is shown only once.")).to_be_visible()
    return page.locator("pre").first.inner_text()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_key_is_created_shown_and_revoked(hub: LiveHub, visit: Visit, tmp_path: Path, javascript: bool) -> None:
    name = "by-script" if javascript else "by-form"
    hub.manage("createchannel", f"keys-{name}", "--owner", "max")
    page = visit("max", javascript=javascript).open("/")
    page.get_by_role("link", name="Make an API key").click()
    secret = make_key(page, name, f"keys-{name}")
    if javascript:
        page.get_by_role("button", name="Copy the key").click()
        assert copied(page, secret) == secret

    file = make_conda(tmp_path, name="sample")
    upload_package_to_prefix([str(file)], hub.url, f"keys-{name}", api_key=secret)
    seconds_until_indexed(hub, f"keys-{name}", "noarch", [file.name], secret)
    reader = Reader(f"{hub.url}/keys-{name}", {"BearerToken": secret})
    assert reader.solve("sample") == [file.name]

    page.get_by_role("link", name="API keys", exact=True).click()
    expect(page.get_by_role("row", name=name)).to_contain_text("just now")
    assert secret not in page.content()
    page.get_by_role("link", name="Diagnose a key").click()
    page.get_by_label("What does not work").fill(f"pixi auth login {hub.url} --token {secret}")
    page.get_by_role("textbox", name="Channel").fill(f"keys-{name}")
    page.get_by_role("button", name="Diagnose").click()
    expect(page.get_by_text(f"Permissions of this credential in keys-{name}: read, upload.")).to_be_visible()
    assert secret not in page.content()

    page.get_by_role("link", name="Your API keys").click()
    page.get_by_role("row", name=name).get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name=f"Revoke {name}").click()
    expect(page.get_by_text(f"The key {name} is revoked.")).to_be_visible()
    with pytest.raises(ReadError, match="401"):
        reader.solve("sample")
    assert secret not in hub.log()
