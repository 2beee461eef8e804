"""The pages of packages and versions: long names keep their lines, builds are chosen, descriptions fold."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.looks import NARROW
from tests.live import LiveHub

WIDTHS = (NARROW, 700, 1000, 1280)
CHANNEL = f"{'channel_of.many-words_' * 6}"[:128].rstrip("_.-")
NAME = f"{'a-package_of.many-words-' * 3}"[:64].rstrip("_.-")
# A name without a place to break.
WHOLE = "w" * 64
VERSION = f"1!{'2026.11.20.' * 4}10+g0123456789abcde"[:64]
BUILD = f"{'cuda120_py313.' * 5}"[:62] + "_0"
DESCRIPTION = (
    "# Usage\n\n| option | what it is for |\n|---|---|\n| `--extraordinary` | configuration-of-everything |\n\n"
    "<details><summary>More</summary>\n\nHidden at first.\n\n</details>\n\n" + "word " * 900
)
EXTREMES = f"""
from tests.builders import make_artifact, make_channel
from channels_app.packages import packages
channel = make_channel({CHANNEL!r}, owner=User.objects.create_user('extremes'), is_private=False)
about = {{'summary': 'Word ' * 99, 'description': {DESCRIPTION!r}, 'license': 'LicenseRef-' + 'Long' * 70,
    'home': 'https://example.org/' + 'path' * 90, 'extra': {{'recipe-maintainers': ['m' * 64, 'a' * 64]}}}}
run = {{'provider': 'GitHub', 'repository': 'o' * 39 + '/' + 'r' * 100, 'repository_url': 'https://github.com/o/r',
    'commit': 'c' * 40, 'ref': 'refs/heads/' + 'b' * 200, 'workflow': 'w' * 99 + '.yml'}}
depends = [{NAME!r} + ' >=' + {VERSION!r}, {WHOLE!r} + ' ' + 'v' * 64 + ' ' + 'b' * 64]
for version, more in (({VERSION!r}, 'n'), ('0.' + '999999999999999.' * 3 + '9', 'o')):
    for subdir in ('linux-' + 'x' * 26, 'noarch', 'osx-arm64'):
        make_artifact(channel, {NAME!r}, version, {BUILD!r}, subdir=subdir, about_json=about, provenance=run,
            index_json={{'depends': [*depends, more, subdir], 'constrains': depends}}, file_count=1,
            files=[['lib/' + more * 200, 5]], run_exports={{'weak': [more + ' ' + depends[1]]}},
            licences=[['info/licenses/' + 'L' * 200, 'text ' * 50]], size_bytes=10**12, download_count=10**9)
make_artifact(channel, {WHOLE!r}, 'v' * 64, 'b' * 64, index_json={{'depends': [{NAME!r}, {WHOLE!r}]}})
packages.refresh_each(Package.objects.filter(channel=channel))
Package.objects.filter(channel=channel).update(download_count=10**9)
"""
PACKAGE = f"/channels/{CHANNEL}/packages/{NAME}"
PAGES = {
    "package": PACKAGE,
    "version": f"{PACKAGE}/{VERSION}",
    "build": f"{PACKAGE}/{VERSION}?build={quote(f'noarch/{NAME}-{VERSION}-{BUILD}.conda')}",
    "artifact": f"/channels/{CHANNEL}/artifacts/noarch/{NAME}-{VERSION}-{BUILD}.conda",
    "whole package": f"/channels/{CHANNEL}/packages/{WHOLE}",
    "whole version": f"/channels/{CHANNEL}/packages/{WHOLE}/{'v' * 64}",
    "channel": f"/channels/{CHANNEL}",
}
# Sideways scrolling, of the page or out of a card over what is beside it.
WIDE = """[document.documentElement, ...document.querySelectorAll(".card")]
  .some(each => each.scrollWidth > each.clientWidth)"""
# Parts of names whose text takes several lines although one would do.
BROKEN = """(width) => [...document.querySelectorAll(".parts")].flatMap(element => {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT), found = [];
  for (let node; (node = walker.nextNode());) {
    const range = document.createRange();
    range.selectNodeContents(node);
    const lines = [...range.getClientRects()].filter(each => each.width > 0);
    const words = node.data.trim().split(/[\\s-]/);
    if (lines.length > words.length && node.data.length < 18) found.push(node.data);
  }
  return found;
})"""
BROKEN_CELLS = """() => [...document.querySelectorAll(".prose td")].filter(cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = new Set([...range.getClientRects()].map(each => Math.round(each.bottom)));
  return !/[ -]/.test(cell.textContent) && lines.size > 2;
}).map(cell => cell.textContent)"""


@pytest.fixture(scope="module")
def extremes(hub: LiveHub) -> LiveHub:
    """Return the hub with a channel, packages, versions and builds of the longest legal names."""
    hub.shell(EXTREMES)
    return hub


@pytest.mark.parametrize("page", PAGES)
def test_page_of_the_longest_names_does_not_scroll_sideways(extremes: LiveHub, visit: Visit, page: str) -> None:
    found = visit(None).open(PAGES[page])
    wide = []
    for width in WIDTHS:
        found.set_viewport_size({"width": width, "height": 900})
        if found.evaluate(WIDE):
            wide.append(width)
    assert wide == []


@pytest.mark.parametrize("page", ["package", "version", "build", "channel"])
def test_names_and_versions_never_break_within_a_part(extremes: LiveHub, visit: Visit, page: str) -> None:
    found = visit(None).open(PAGES[page])
    for width in WIDTHS:
        found.set_viewport_size({"width": width, "height": 900})
        assert found.evaluate(BROKEN, width) == []
        assert found.evaluate(BROKEN_CELLS) == []


@pytest.mark.parametrize("javascript", [True, False])
def test_dependencies_of_a_build_take_two_steps(extremes: LiveHub, visit: Visit, javascript: bool) -> None:
    page = visit(None, javascript=javascript).open(PACKAGE)
    dependencies = page.locator("section:has(> header > #dependencies)")
    expect(dependencies.get_by_role("row", name=re.compile("^osx-arm64"))).to_have_count(0)
    dependencies.get_by_label("Platform and build").select_option(f"osx-arm64/{NAME}-{VERSION}-{BUILD}.conda")
    dependencies.get_by_role("button", name="Show").click()
    page.wait_for_url(re.compile(r"\?build=osx-arm64%2F.*#dependencies"))
    expect(dependencies.get_by_role("row", name=re.compile("^osx-arm64"))).to_have_count(1)


def test_old_address_of_a_version_shows_its_files(extremes: LiveHub, visit: Visit) -> None:
    page = visit(None).open(f"{PACKAGE}?version={quote(VERSION)}#files")
    assert page.url.endswith(f"/{VERSION}#files")
    expect(page.get_by_role("heading", name=f"Files of {VERSION}")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_part_of_a_description_unfolds(extremes: LiveHub, visit: Visit, javascript: bool) -> None:
    page = visit(None, javascript=javascript, width=NARROW).open(PACKAGE)
    hidden = page.get_by_text("Hidden at first.")
    expect(hidden).to_be_hidden()
    page.get_by_text("More", exact=True).click()
    expect(hidden).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_chosen_platform_filters_packages_at_once_and_without_javascript_by_a_button(
    extremes: LiveHub, visit: Visit, javascript: bool
) -> None:
    page = visit(None, javascript=javascript).open(f"/channels/{CHANNEL}")
    names = page.get_by_role("table").get_by_role("link", name=WHOLE, exact=True)
    expect(names).to_be_visible()
    page.get_by_label("Platform").select_option("osx-arm64")
    if not javascript:
        page.get_by_role("button", name="Find", exact=True).click()
    expect(names).to_have_count(0)
    expect(page).to_have_url(re.compile("platform=osx-arm64"))
