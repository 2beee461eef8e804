"""Tests of open pages after a sign-out in another tab: uploads are sent again, forms explain it."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from channels_app.accounts.lost_forms import NOTHING_SAVED
from tests.archives import SHARED_PACKAGES
from tests.browser.conftest import Person, Visit, sign_in
from tests.browser.test_journey import GOOD, create_channel, drop

FILES: list[Path] = [SHARED_PACKAGES / path for path in GOOD]


@pytest.fixture
def olga(visit: Visit) -> Person:
    """Return Olga with a session of her own, which ends in the test."""
    person = visit(None)
    sign_in(person, "olga")
    return person


def other_tab(person: Person) -> Person:
    return Person(person.page.context.new_page(), person.url)


def sign_out(person: Person) -> None:
    page = person.open("/accounts/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{person.url}/")


def retries(page: Page) -> list[str]:
    names = page.get_by_role("button", name=re.compile("^Retry ")).all()
    return [str(button.get_attribute("aria-label")) for button in names]


def test_retry_after_a_new_sign_in_elsewhere_publishes_the_files(olga: Person) -> None:
    create_channel(olga, "again")
    page = olga.open("/channels/again/settings/upload")
    tab = other_tab(olga)
    sign_out(tab)
    drop(page, FILES[:2])
    expect(page.locator(".reason:visible")).to_have_count(2)
    expect(page.locator(".reason:visible").first).to_contain_text("You are signed out.")
    sign_in(tab, "olga")
    for name in retries(page):
        page.get_by_role("button", name=name).click()
    drop(page, FILES[2:3])
    expect(page.get_by_text(re.compile("^(Published|Indexed)")).locator("visible=true")).to_have_count(3)
    expect(page.locator(".reason:visible")).to_have_count(0)


def test_form_sent_after_signing_out_elsewhere_shows_that_it_was_not_saved(olga: Person) -> None:
    page = olga.open("/channels/new")
    sign_out(other_tab(olga))
    page.get_by_label("Name", exact=True).fill("lost")
    page.get_by_role("button", name="Create channel").click()
    page.wait_for_url("**/accounts/login/?next=/channels/new")
    expect(page.get_by_text(NOTHING_SAVED)).to_be_visible()
