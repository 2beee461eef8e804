"""The search in the browser: suggestions while typing, and filters with JavaScript and without."""

import re
import string

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.live import LiveHub

LETTERS = iter(string.ascii_lowercase)
PACKAGES = """
from tests.builders import make_artifact, make_package
for name, is_private in (('{name}-open', False), ('{name}-closed', True)):
    channel = Channel.objects.create(name=name, is_private=is_private)
    Member.objects.create(channel=channel, user=User.objects.get(username='olga'), role='owner')
    for number in range(3):
        make_package(channel, f'{{name}}-{{number}}', 'Maps & <b>more</b>', download_count=3 - number)
    package = make_artifact(channel, f'{{name}}-linux', subdir='linux-64').package
    Package.objects.filter(pk=package.pk).update(latest_version='1.0', subdirs=['linux-64'])
"""


@pytest.fixture
def name(hub: LiveHub) -> str:
    """Create a public and a private channel with four packages each; their names begin with the result."""
    name = f"quartz{next(LETTERS)}"
    hub.shell(PACKAGES.format(name=name))
    return name


def options(page: Page) -> list[str]:
    return page.get_by_role("option").all_inner_texts()


def test_suggestions_are_reached_by_the_keyboard(visit: Visit, name: str) -> None:
    page = visit(None).open("/channels")
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search packages and channels")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-expanded", "false")
    page.keyboard.type(f"{name}-op")
    expect(page.get_by_role("option")).to_have_count(5)
    expect(field).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("status")).to_have_text("5 suggestions")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    active = page.get_by_role("option", selected=True)
    expect(active).to_contain_text(f"{name}-open-1")
    expect(field).to_have_attribute("aria-activedescendant", str(active.get_attribute("id")))
    page.keyboard.press("Escape")
    expect(page.get_by_role("listbox")).to_be_hidden()
    expect(field).to_have_value(f"{name}-op")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option")).to_have_count(5)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/channels/{name}-open")


def test_enter_without_an_active_suggestion_searches(visit: Visit, name: str) -> None:
    page = visit(None).open("/")
    page.get_by_role("combobox").fill(f"{name}-open-1")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/search?q={name}-open-1")


def test_suggestion_is_chosen_by_the_mouse(visit: Visit, name: str) -> None:
    page = visit("olga").open("/")
    page.get_by_role("combobox").fill(f"{name}-closed-2")
    page.get_by_role("option").click()
    page.wait_for_url(f"**/channels/{name}-closed/packages/{name}-closed-2")


def test_suggestions_leave_private_names_out_and_close_with_the_focus(visit: Visit, name: str) -> None:
    page = visit("sam").open("/")
    page.get_by_role("combobox").fill(name)
    expect(page.get_by_role("option")).to_have_count(5)
    assert not [text for text in options(page) if "closed" in text]
    page.keyboard.press("Tab")
    expect(page.get_by_role("listbox")).to_be_hidden()


def test_search_without_javascript_has_no_suggestions_and_filters_by_its_button(visit: Visit, name: str) -> None:
    page = visit("olga", javascript=False).open(f"/search?q={name}")
    expect(page.get_by_role("combobox", name="Find packages and channels")).to_have_count(0)
    page.get_by_label("Channel", exact=True).select_option(f"{name}-open")
    page.get_by_label("Platform").select_option("linux-64")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").last).to_contain_text(f"{name}-open-linux")


def test_filters_of_the_search_apply_at_once(visit: Visit, name: str) -> None:
    page = visit("olga").open(f"/search?q={name}")
    expect(page.get_by_role("row")).to_have_count(9)
    page.get_by_label("Platform").focus()
    page.get_by_label("Platform").select_option("linux-64")
    expect(page.get_by_role("row")).to_have_count(3)
    expect(page).to_have_url(re.compile("platform=linux-64"))
    expect(page.get_by_label("Platform")).to_be_focused()
    page.get_by_label("Platform").select_option("win-64")
    expect(page.get_by_role("heading", name="No packages match")).to_be_visible()
    page.get_by_role("link", name="Search all channels and platforms").click()
    expect(page.get_by_role("row")).to_have_count(9)
