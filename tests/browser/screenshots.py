"""`make screenshots`: every page in light, dark and 360 px wide, as build/screenshots/<page>-<look>.png."""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS, Person, make_people, sign_in
from tests.browser.sample_hub import PAGES, fill_hub
from tests.live import live_hub

FOLDER = Path(__file__).parents[2] / "build" / "screenshots"
LOOKS = {"light": ("light", 1280), "dark": ("dark", 1280), "narrow": ("light", 360)}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, live_hub(Path(folder)) as hub, sync_playwright() as playwright:
        make_people(hub)
        fill_hub(hub, Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[f"--{flag}" for flag in FLAGS])
        for look, (scheme, width) in LOOKS.items():
            people = {}
            for who in (None, "olga", "max", "ada"):
                context = browser.new_context(
                    color_scheme="dark" if scheme == "dark" else "light",
                    viewport={"width": width, "height": 900},
                    reduced_motion="reduce",
                )
                people[who] = Person(context.new_page(), hub.url)
                if who:
                    sign_in(people[who], who)
            for name, (who, path) in PAGES.items():
                people[who].open(path).screenshot(path=FOLDER / f"{name}-{look}.png", full_page=True)


if __name__ == "__main__":
    main()
