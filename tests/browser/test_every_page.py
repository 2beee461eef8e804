"""Tests of every page with axe-core and Lighthouse: light and dark, wide and narrow, and with hostile metadata."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Dialog
from rattler_build import upload_package_to_prefix

from tests.archives import make_conda
from tests.browser.conftest import CHROMIUM, FLAGS, NODE_MODULES, Visit, needed
from tests.browser.sample_hub import PAGES
from tests.live import ROOT, LiveHub

LIGHTHOUSE_BAR = 95
LIGHTHOUSE_S = 300
CATEGORIES = {"performance", "accessibility", "best-practices", "seo"}
NARROW = 360
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
VIOLATIONS = {"resultTypes": ["violations"]}
# Of all rules, only that of contrast depends on the colours, which are the same at each width.
CONTRAST = "color-contrast"
LOOKS: list[tuple[int, Literal["light", "dark"], dict[str, Any]]] = [
    (1280, "light", VIOLATIONS),
    (1280, "dark", VIOLATIONS | {"runOnly": [CONTRAST]}),
    (NARROW, "light", VIOLATIONS | {"rules": {CONTRAST: {"enabled": False}}}),
]

PAYLOAD = """<script>window.ran=1</script><img src=x onerror="window.ran=1">"'javascript:window.ran=1//"""
URL_PAYLOADS = ["javascript:window.ran=1", "data:text/html,<script>window.ran=1</script>", " java\tscript:window.ran=1"]
MARKDOWN = f'# {PAYLOAD}\n\n[click](javascript:window.ran=1) ![x](x" onerror=window.ran=1) <svg onload=window.ran=1>'


def test_every_page_has_no_axe_violation_and_no_overflow(hub_with_data: LiveHub, visit: Visit) -> None:
    axe = needed(NODE_MODULES / "axe-core" / "axe.min.js", "axe-core").read_text()
    people = {name: visit(name) for name in (None, "olga", "max", "ada")}
    found = []
    for name, (who, path) in PAGES.items():
        page = people[who].open(path)
        # Evaluated, because the page's policy forbids other scripts.
        page.evaluate(axe)
        grounds = set()
        for width, scheme, checks in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for violation in page.evaluate(f"axe.run({json.dumps(checks)})")["violations"]:
                targets = [node["target"] for node in violation["nodes"]]
                found.append(f"{name} at {width}, {scheme}: {violation['id']} {targets}")
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{name} at {width}: scrolls sideways")
        assert len(grounds) == len(SCHEMES), name
    assert found == []


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


@pytest.mark.parametrize("path", ["/", "/channels/geo-tools", "/channels/geo-tools/packages/strata"])
def test_every_page_reaches_the_lighthouse_scores(
    hub_with_data: LiveHub, path: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Use the best of three runs: a busy machine can make a page slow, never fast."""
    best: dict[str, int] = {}
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        scores = lighthouse(f"{hub_with_data.url}{path}", folder)
        best = {name: max(score, best.get(name, 0)) for name, score in scores.items()} or best
        if best and min(best.values()) >= LIGHTHOUSE_BAR:
            break
    record_property(path, best)
    print(path, best)  # noqa: T201  a figure
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
