"""The API explorer in a browser: it sends requests with the session, under the policy of the page."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.looks import LOOKS, NARROW, faults, load_axe, overflows
from tests.live import LiveHub

# Closes all but one operation of each method; their colours and parts are the same.
CLOSE_REPEATED = """() => {
  const seen = new Set();
  for (const card of document.querySelectorAll("details.operation")) {
    const method = card.querySelector(".method").textContent;
    card.open = !seen.has(method);
    seen.add(method);
  }
}"""


def operation(page: Page, path: str, method: str) -> str:
    """Open the operation, and return its selector."""
    card = f"details.operation:has(api-request[path='{path}'][method='{method}'])"
    page.locator(f"{card} > summary").click()
    return card


def test_explorer_sends_a_read_and_a_change(hub: LiveHub, visit: Visit) -> None:
    hub.manage("createchannel", "explored", "--owner", "olga")
    page = visit("olga").open("/api/docs")
    read = operation(page, "/api/v1/channels/{channel}", "GET")
    page.fill(f"{read} [name=channel]", "explored")
    page.click(f"{read} button:has-text('Send')")
    expect(page.locator(f"{read} .answer")).to_contain_text('"name": "explored"')
    change = operation(page, "/api/v1/channels/{channel}", "PATCH")
    page.fill(f"{change} [name=channel]", "explored")
    page.fill(f"{change} textarea", '{"description": "Changed by the explorer."}')
    page.click(f"{change} button:has-text('Send')")
    expect(page.locator(f"{change} .answer")).to_contain_text("Changed by the explorer.")


def test_explorer_finds_endpoints_by_words(hub: LiveHub, visit: Visit) -> None:
    page = visit(None).open("/api/docs")
    page.fill(".filter input", "get channels/{channel}/members")
    assert page.locator("details.operation:visible").count() == 2
    page.fill(".filter input", "nothing like this")
    expect(page.get_by_role("status").filter(has_text="No endpoint")).to_be_visible()


def test_open_explorer_has_no_axe_violation_and_no_overflow(visit: Visit) -> None:
    olga = visit("olga")
    load_axe(olga.page.context)
    page = olga.open("/api/docs")
    page.evaluate("for (const each of document.querySelectorAll('#main details')) each.open = true")
    widest, *others = LOOKS
    found = faults(page, widest) + overflows(page, NARROW)
    page.evaluate(CLOSE_REPEATED)
    for look in others:
        found += faults(page, look)
    assert found == []
