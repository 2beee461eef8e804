"""Tests of every page with the longest legal names: axe-core in each look, overflow, targets for fingers, Lighthouse.

Tables are also measured at widths between a phone's and a desktop's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog
from rattler_build import upload_package_to_prefix

from channels_app import identifiers
from tests.archives import make_conda
from tests.browser.conftest import CHROMIUM, FLAGS, NODE_MODULES, Visit, make_people, needed, shared_settings
from tests.browser.extremes import BUILD, LONG, PAGES, lengthen
from tests.browser.looks import GROUND, LOOKS, faults, load_axe, overflows
from tests.browser.sample_hub import fill_hub
from tests.live import ROOT, LiveHub, live_hub

LIGHTHOUSE_BAR = 95
LIGHTHOUSE_S = 300
CATEGORIES = {"performance", "accessibility", "best-practices", "seo"}
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
# The least widths at which a table has columns, and at which they are broad: see browse.css. LOOKS have the broadest.
TABLE_WIDTHS = (660, 1200)

PAYLOAD = """<script>window.ran=1</script><img src=x onerror="window.ran=1">"'javascript:window.ran=1//"""
URL_PAYLOADS = ["javascript:window.ran=1", "data:text/html,<script>window.ran=1</script>", " java\tscript:window.ran=1"]
MARKDOWN = f'# {PAYLOAD}\n\n[click](javascript:window.ran=1) ![x](x" onerror=window.ran=1) <svg onload=window.ran=1>'


@pytest.fixture(scope="module")
def extremes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """Run a hub with the sample in its longest form."""
    folder = tmp_path_factory.mktemp("extremes")
    with live_hub(folder, **shared_settings()) as hub:
        make_people(hub)
        fill_hub(hub, folder)
        lengthen(hub)
        yield hub


def test_pages_have_no_axe_violation_no_overflow_and_no_small_target(extremes: LiveHub, visit: Visit) -> None:
    people = {who: visit(who, of=extremes) for who in {who for who, _ in PAGES.values()}}
    for person in people.values():
        load_axe(person.page.context)
    found: dict[str, list[str]] = {}
    for name, (who, path) in PAGES.items():
        page = people[who].open(path)
        found[name], grounds = [], set()
        for look in LOOKS:
            found[name] += faults(page, look)
            grounds.add(page.evaluate(GROUND))
        assert len(grounds) == len({look.scheme for look in LOOKS}), name
        found[name] += page.evaluate(SMALL_TARGETS)
        for width in TABLE_WIDTHS if page.locator(".card table").count() else ():
            found[name] += overflows(page, width)
    assert {name: faults for name, faults in found.items() if faults} == {}


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


def lighthouse(url: str, folder: Path) -> dict[str, int]:
    """Return the scores of a page, 0 to 100; an empty result if Chromium itself failed."""
    program = needed(NODE_MODULES / "lighthouse" / "cli" / "index.js", "Lighthouse")
    flags = " ".join(f"--{flag}" for flag in (*FLAGS, "headless", f"user-data-dir={folder}/profile"))
    report = folder / "report.json"
    options = ("--quiet", "--output=json", f"--output-path={report}", f"--chrome-flags={flags}")
    done = subprocess.run(
        ["timeout", str(LIGHTHOUSE_S), "node", program, url, *options],
        env={"CHROME_PATH": CHROMIUM, "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)},
        check=False,
    )
    categories = json.loads(report.read_text())["categories"] if done.returncode == 0 else {}
    return {name: round((category["score"] or 0) * 100) for name, category in categories.items() if name in CATEGORIES}


@pytest.mark.parametrize("page", ["home", "channel", "package"])
def test_every_page_reaches_the_lighthouse_scores(
    extremes: LiveHub, page: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Use the best of three runs: a busy machine can make a page slow, never fast."""
    best: dict[str, int] = {}
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        scores = lighthouse(f"{extremes.url}{PAGES[page][1]}", folder)
        best = {name: max(score, best.get(name, 0)) for name, score in scores.items()} or best
        if best and min(best.values()) >= LIGHTHOUSE_BAR:
            break
    record_property(page, best)
    print(page, best)  # noqa: T201  a figure
    assert best.keys() == CATEGORIES
    assert {name: score for name, score in best.items() if score < LIGHTHOUSE_BAR} == {}


def test_screenshots_begin_without_the_settings_of_tests() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, "-c", "import tests.browser.screenshots"], env=environment, cwd=ROOT, check=True)


def test_no_metadata_of_a_package_runs(hub: LiveHub, visit: Visit, tmp_path: Path) -> None:
    hub.manage("createchannel", "hostile", "--owner", "olga", "--public", "--description", PAYLOAD)
    key = hub.manage("createapikey", "olga", "--name", PAYLOAD[:100], "--scope", "upload")
    about = {
        **dict.fromkeys(["summary", "license", "license_family", "doc_source_url", "author"], PAYLOAD),
        **dict(zip(["home", "dev_url", "doc_url"], URL_PAYLOADS, strict=True)),
        "source_url": URL_PAYLOADS,
        "description": MARKDOWN,
    }
    path = make_conda(
        tmp_path,
        name="hostile",
        index={"license": PAYLOAD, "license_family": PAYLOAD, "x-unknown": {PAYLOAD: [PAYLOAD]}},
        info={"about.json": json.dumps(about).encode()},
        files={f"share/{PAYLOAD.replace('/', '')}": b"x"},
    )
    upload_package_to_prefix([str(path)], hub.url, "hostile", api_key=key)
    olga = visit("olga")
    dialogs: list[Dialog] = []
    olga.page.on("dialog", lambda dialog: dialogs.append(dialog))
    for path_of_page in (
        "/",
        "/channels",
        "/channels/hostile",
        "/channels/hostile/packages/hostile",
        "/channels/hostile/artifacts/noarch/hostile-1.0-0.conda",
        "/channels/hostile/artifacts/noarch/hostile-1.0-0.conda/remove",
        "/channels/hostile/settings",
        "/channels/hostile/settings/activity",
        "/channels/hostile/settings/upload",
        "/search?q=%3Cscript%3Ewindow.ran%3D1%3C%2Fscript%3E",
        "/search?q=hostile",
    ):
        page = olga.open(path_of_page)
        assert page.evaluate("window.ran") is None, path_of_page
        links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.protocol)")
        assert set(links) <= {"http:", "https:"}, path_of_page
        assert page.locator("[onerror], [onload], [style]").count() == 0, path_of_page
    assert dialogs == []
