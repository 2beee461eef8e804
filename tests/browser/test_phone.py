"""Every page on a phone, with the longest legal names: no sideways scrolling, and targets that a finger can hit.

Tables are also measured on wider screens, where they have columns.
"""

from collections.abc import Iterator

import pytest

from channels_app import identifiers
from tests.browser.conftest import Visit, make_people, shared_settings
from tests.browser.extremes import BUILD, LONG, PAGES, lengthen
from tests.browser.sample_hub import fill_hub
from tests.browser.test_every_page import NARROW
from tests.live import LiveHub, live_hub

# Visible targets of less than 24 px (WCAG 2.2, 2.5.8), except links within a sentence; and low controls.
SMALL_TARGETS = """() => [...document.querySelectorAll(
  'a[href], button, input:not([type="hidden"]), select, textarea, summary, label:has(input), .options > label'
)].flatMap(target => {
  if (!target.checkVisibility({visibilityProperty: true}) || target.closest('.visually-hidden, .skip')) return [];
  const {width, height} = (target.closest('label, .tile, .affix') ?? target).getBoundingClientRect();
  const texts = [...target.parentElement.childNodes].filter(each => each.nodeType === Node.TEXT_NODE);
  const isInSentence = getComputedStyle(target).display === 'inline' && texts.some(each => /\\w/.test(each.data));
  const isControl = target.matches('.button, input, select, label, .nav a, .side a, .tabs a, .pagination a');
  const least = isControl && !target.matches('.pick > input') ? 44 : 24;
  if (width >= 24 && height >= least || isInSentence) return [];
  return [`${target.outerHTML.slice(0, 90)} has ${Math.round(width)} x ${Math.round(height)} px`];
})"""
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
# Tables that are wider than their card, in px.
WIDE_TABLES = """() => [...document.querySelectorAll('.card table:not(.scroll *, .prose *)')].flatMap(table => {
  const more = table.getBoundingClientRect().width - table.closest('.card').getBoundingClientRect().width;
  return more > 0 ? [Math.round(more)] : [];
})"""
# The least widths at which a table has columns, and at which they are broad: see browse.css.
TABLE_WIDTHS = (660, 1200, 1280)


@pytest.fixture(scope="module")
def extremes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Run a hub with the sample in its longest form."""
    folder = tmp_path_factory.mktemp("extremes")
    with live_hub(folder, **shared_settings()) as hub:
        make_people(hub)
        fill_hub(hub, folder)
        lengthen(hub)
        yield hub


def test_no_page_of_the_longest_names_scrolls_sideways_or_has_a_small_target(extremes: LiveHub, visit: Visit) -> None:
    people = {who: visit(who, width=NARROW, of=extremes) for who in {who for who, _ in PAGES.values()}}
    wide: dict[tuple[str, int], object] = {}
    small: dict[str, object] = {}
    for name, (who, path) in PAGES.items():
        page = people[who].open(path)
        if more := page.evaluate(OVERFLOW):
            wide[name, NARROW] = more
        if found := page.evaluate(SMALL_TARGETS):
            small[name] = found
        for width in TABLE_WIDTHS if page.locator(".card table").count() else ():
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate(OVERFLOW) or page.evaluate(WIDE_TABLES):
                wide[name, width] = page.evaluate(OVERFLOW), page.evaluate(WIDE_TABLES)
        page.set_viewport_size({"width": NARROW, "height": 900})
    assert wide == {}
    assert small == {}


def test_extremes_are_the_longest_legal_names() -> None:
    package, version, channel = LONG["strata"], LONG["1.4.0"], LONG["geo-tools"]
    assert identifiers.PACKAGE_NAME.match(package)
    assert identifiers.VERSION.match(version)
    assert identifiers.BUILD.match(BUILD)
    assert identifiers.CHANNEL.match(channel)
    assert {len(package), len(version), len(BUILD)} == {identifiers.NAME_MAX_CHARACTERS}
    assert len(channel) == identifiers.CHANNEL_MAX_CHARACTERS
    assert len(LONG["linux-64"]) == identifiers.SUBDIR_MAX_CHARACTERS
    assert len(LONG["mara@example.org"]) == 254
