"""A label for a pull request in the browser: created with an end date, filled by an upload, used, and deleted."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.archives import make_conda
from tests.browser.conftest import Visit, copied
from tests.clients.plain import ask
from tests.live import LiveHub

NUMBERS = itertools.count()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_label_of_a_pull_request_is_created_filled_shown_and_deleted(
    hub: LiveHub, visit: Visit, tmp_path: Path, javascript: bool
) -> None:
    channel, last_day = f"pulls-{next(NUMBERS)}", (datetime.now(UTC) + timedelta(days=14)).date()
    hub.manage("createchannel", channel, "--owner", "olga")
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}/labels")
    page.get_by_label("Name").fill("pr-123")
    page.get_by_label("Last day (UTC)").fill(last_day.isoformat())
    page.get_by_role("button", name="Create label").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("pr-123")
    expect(page.get_by_text(f"ends on {last_day.day} {last_day:%b %Y}")).to_be_visible()
    expect(page.get_by_role("heading", name="No files yet")).to_be_visible()

    package = make_conda(tmp_path, name="quarry")
    key = hub.manage("createapikey", "olga", "--name", f"of-{channel}", "--scope", "upload")
    headers = {"X-File-Name": package.name}
    path = f"/api/v1/upload/{channel}?label=pr-123"
    answer = ask(hub, path, key, method="POST", body=package.read_bytes(), headers=headers)
    assert answer.status == 201, answer.text

    page.reload()
    address = f"{hub.url}/{channel}/label/pr-123"
    expect(page.get_by_role("region", name="Address")).to_contain_text(address)
    expect(page.get_by_role("region", name="Install")).to_contain_text(f"pixi workspace channel add {address}")
    expect(page.get_by_role("region", name="Packages")).to_contain_text("quarry")
    if javascript:
        page.get_by_role("button", name="Copy the address").click()
        assert copied(page, "http") == address

    page.get_by_role("link", name="quarry", exact=True).click()
    page.get_by_role("checkbox", name=f"Select noarch/{package.name}").check()
    page.get_by_role("button", name="Label…").click()
    page.get_by_label("Add labels").fill("main")
    page.get_by_role("button", name="Label 1 file").click()
    expect(page.get_by_text("1 file is labeled.")).to_be_visible()

    page.goto(f"{hub.url}/channels/{channel}/labels/pr-123")
    page.get_by_role("button", name="Delete pr-123").click()
    expect(page.get_by_text("The label pr-123 is deleted.")).to_be_visible()
    found = f"Artifact.objects.get(channel__name='{channel}')"
    assert hub.shell(f"answer = {found}.is_main") is True
