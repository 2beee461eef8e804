"""A release of 20 files in the browser, with JavaScript and without.

It is yanked in at most six steps, restored and deleted; and promoted in at most six.
"""

import itertools
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.live import LiveHub

STEPS_MAX = 6
NUMBERS = itertools.count()
RELEASE = """
from django.db import transaction
from channels_app.packages import packages
from tests.builders import make_artifact
channel = Channel.objects.get(name='{channel}')
with transaction.atomic():
    for subdir in ('linux-64', 'linux-aarch64', 'osx-arm64', 'win-64'):
        for build in ('py310', 'py311', 'py312', 'py313', 'py314'):
            make_artifact(channel, 'quarry', '2.0', build, subdir=subdir)
    make_artifact(channel, 'quarry', '1.9')
    make_artifact(channel, 'pit', '1.0', index_json={{'depends': ['quarry >=2']}})
    packages.refresh_each(Package.objects.filter(channel=channel))
"""
BYTES = """
from hub.storage import store
for artifact in Artifact.objects.filter(channel__name='{channel}', version='2.0'):
    store().put(f'{channel}/{{artifact.subdir}}/{{artifact.file_name}}', bytes(artifact.size_bytes))
"""
STATES = """
found = Artifact.objects.filter(version='2.0', channel__name='{channel}')
answer = list(found.values_list('removal', 'removal_reason'))
"""


class Steps:
    """The clicks and inputs of a user, counted."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def click(self, element: Locator) -> None:
        self.count += 1
        element.click()

    def type(self, element: Locator, text: str) -> None:
        self.count += 1
        element.fill(text)

    def choose(self, element: Locator, option: str) -> None:
        self.count += 1
        element.select_option(option)

    def press(self, name: str) -> None:
        self.click(self.page.get_by_role("button", name=name, exact=True))


@pytest.fixture(params=[True, False], ids=["script", "plain"])
def javascript(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def channel(hub: LiveHub) -> str:
    """Create a channel with a release of 20 files, an older one, and a package that needs the release."""
    name = f"quarries-{next(NUMBERS)}"
    hub.manage("createchannel", name, "--owner", "olga")
    hub.shell(RELEASE.format(channel=name))
    return name


def states(hub: LiveHub, channel: str) -> set[tuple[str, str]]:
    """Return the states and reasons of the 20 files."""
    found = hub.shell(STATES.format(channel=channel))
    assert len(found) == 20
    return {(state, reason) for state, reason in found}


def test_broken_release_is_yanked_in_six_steps_then_restored_and_deleted(
    hub: LiveHub, visit: Visit, channel: str, javascript: bool
) -> None:
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}")
    steps = Steps(page)
    steps.click(page.get_by_role("link", name="quarry", exact=True))
    steps.click(page.get_by_role("link", name="Select all"))
    steps.press("Yank…")
    expect(page.get_by_role("heading", level=1)).to_have_text("Yank 20 files?")
    expect(page.get_by_role("region", name="Packages that lose a dependency")).to_contain_text(f"{channel}/pit")
    steps.type(page.get_by_label(re.compile("^Reason")), "crashes on import")
    steps.press("Yank 20 files")
    expect(page.get_by_text("20 files are yanked")).to_be_visible()
    assert steps.count <= STEPS_MAX
    assert states(hub, channel) == {("yanked", "crashes on import")}

    page.get_by_role("link", name="Select all 20").click()
    page.get_by_role("button", name="Restore…").click()
    page.get_by_role("button", name="Restore 20 files").click()
    expect(page.get_by_text("20 files are back in the index.")).to_be_visible()
    assert states(hub, channel) == {("", "")}

    page.get_by_role("checkbox", name="Select win-64/quarry-2.0-py310.conda").check()
    page.get_by_role("checkbox", name="Select win-64/quarry-2.0-py311.conda").check()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_label("Type quarry to confirm").fill("quarry")
    page.get_by_role("button", name="Delete 2 files").click()
    expect(page.get_by_text("2 files are deleted")).to_be_visible()
    assert states(hub, channel) == {("", ""), ("deleted", "")}


def test_release_is_promoted_in_six_steps_and_rolled_back(
    hub: LiveHub, visit: Visit, channel: str, javascript: bool
) -> None:
    hub.shell(BYTES.format(channel=channel))
    hub.manage("createchannel", f"{channel}-stable", "--owner", "olga")
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}")
    steps = Steps(page)
    steps.click(page.get_by_role("link", name="quarry", exact=True))
    steps.click(page.get_by_role("link", name="Select all"))
    steps.press("Promote…")
    steps.choose(page.get_by_label("To channel"), f"{channel}-stable")
    steps.press("Preview")
    expect(page.get_by_role("region", name=f"Promoted to {channel}-stable").get_by_role("listitem")).to_have_count(20)
    steps.press("Promote 20 files")
    expect(page.get_by_text(f"20 files are promoted to {channel}-stable")).to_be_visible()
    assert steps.count <= STEPS_MAX
    assert states(hub, f"{channel}-stable") == {("", "")}

    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("The promotion is rolled back")).to_be_visible()
    assert {state for state, _ in states(hub, f"{channel}-stable")} == {"deleted"}
    assert states(hub, channel) == {("", "")}


def test_files_are_ticked_on_the_page_of_a_package_and_found_by_filters(
    hub: LiveHub, visit: Visit, channel: str, javascript: bool
) -> None:
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}/packages/quarry")
    page.get_by_role("checkbox", name="Select linux-64/quarry-2.0-py310.conda").check()
    expect(page.locator("ticked-count")).to_have_text("1" if javascript else "")
    page.get_by_role("button", name="Yank…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Yank 1 file?")
    page.get_by_role("link", name="Cancel").click()

    page.get_by_label("Platform").select_option("osx-arm64")
    page.get_by_label("File name").fill("*-py31[03].conda")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", name="No files match")).to_be_visible()
    page.get_by_label("File name").fill("*-py31?.conda")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("checkbox")).to_have_count(5)


def test_change_by_another_user_since_the_preview_is_shown(
    hub: LiveHub, visit: Visit, channel: str, javascript: bool
) -> None:
    page = visit("olga", javascript=javascript).open(f"/channels/{channel}/select?name=quarry&version=2.0&select=all")
    page.get_by_role("button", name="Yank…").click()
    hub.shell("Artifact.objects.filter(build='py310', subdir='win-64').update(removal='yanked')")
    page.get_by_role("button", name="Yank 20 files").click()
    expect(page.get_by_role("alert")).to_contain_text("changed since the preview; nothing was done")
    expect(page.get_by_role("region", name="Left as they are")).to_contain_text("win-64/quarry-2.0-py310.conda")
    page.get_by_role("button", name="Yank 19 files").click()
    expect(page.get_by_text("19 files are yanked")).to_be_visible()
