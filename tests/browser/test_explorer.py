"""The API explorer in a browser: it sends requests with the session, under the policy of the page."""

import json

from playwright.sync_api import Page, expect

from tests.browser.conftest import NODE_MODULES, Visit, needed
from tests.browser.test_every_page import LOOKS
from tests.live import LiveHub


def operation(page: Page, path: str, method: str) -> str:
    """Open the operation, and return its selector."""
    card = f"details.operation:has(api-request[path='{path}'][method='{method}'])"
    page.locator(f"{card} > summary").click()
    return card


def test_explorer_sends_a_read_and_a_change(hub_with_data: LiveHub, visit: Visit) -> None:
    page = visit("olga").open("/api/docs")
    read = operation(page, "/api/v1/channels/{channel}", "GET")
    page.fill(f"{read} [name=channel]", "geo-tools")
    page.click(f"{read} button:has-text('Send')")
    expect(page.locator(f"{read} .answer")).to_contain_text('"name": "geo-tools"')
    change = operation(page, "/api/v1/channels/{channel}", "PATCH")
    page.fill(f"{change} [name=channel]", "geo-tools")
    page.fill(f"{change} textarea", '{"description": "Changed by the explorer."}')
    page.click(f"{change} button:has-text('Send')")
    expect(page.locator(f"{change} .answer")).to_contain_text("Changed by the explorer.")


def test_explorer_finds_endpoints_by_words(hub: LiveHub, visit: Visit) -> None:
    page = visit(None).open("/api/docs")
    page.fill(".filter input", "get channels/{channel}/members")
    assert page.locator("details.operation:visible").count() == 2
    page.fill(".filter input", "nothing like this")
    expect(page.get_by_role("status").filter(has_text="No endpoint")).to_be_visible()


def test_open_explorer_has_no_axe_violation_and_no_overflow(hub: LiveHub, visit: Visit) -> None:
    axe = needed(NODE_MODULES / "axe-core" / "axe.min.js", "axe-core").read_text()
    page = visit("olga").open("/api/docs")
    page.evaluate("for (const each of document.querySelectorAll('#main details')) each.open = true")
    page.evaluate(axe)
    found = []
    for width, scheme, checks in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        violations = page.evaluate(f"axe.run({json.dumps(checks)})")["violations"]
        found += [f"{width}, {scheme}: {each['id']} {each['nodes'][0]['target']}" for each in violations]
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append(f"{width}: scrolls sideways")
    assert found == []
