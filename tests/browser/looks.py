"""The looks of a page: widths and colour schemes, and what is measured in each."""

from typing import Any, Literal, NamedTuple

from playwright.sync_api import BrowserContext, Page

from tests.browser.conftest import NODE_MODULES, needed

NARROW = 360
# Low, because painting takes time. Nothing here depends on the height.
HEIGHT = 300
# Of all rules, only that of contrast depends on the colours, which are the same at each width.
CONTRAST = "color-contrast"


class Look(NamedTuple):
    """A width in px and a colour scheme, with the rules of axe-core that are checked there."""

    width: int
    scheme: Literal["light", "dark"]
    rules: dict[str, Any]


LOOKS = [
    Look(1280, "light", {}),
    Look(1280, "dark", {"runOnly": [CONTRAST]}),
    Look(NARROW, "light", {"rules": {CONTRAST: {"enabled": False}}}),
]
# Sideways scrolling, of the page or of a table out of its card.
OVERFLOW = """() => {
  const page = document.scrollingElement;
  const tables = [...document.querySelectorAll('.card table:not(.scroll *, .prose *)')];
  const width = (element) => element.getBoundingClientRect().width;
  return page.scrollWidth > page.clientWidth || tables.some(table => width(table) > width(table.closest('.card')));
}"""
VIOLATIONS = """async (rules) => {
  const found = await axe.run({reporter: 'no-passes', ...rules});
  return found.violations.map(each => `${each.id} ${each.nodes.map(node => node.target)}`);
}"""
GROUND = "getComputedStyle(document.body).backgroundColor"


def load_axe(context: BrowserContext) -> None:
    """Run axe-core in all pages that the context opens later. The pages' policy forbids scripts of others."""
    context.add_init_script(path=needed(NODE_MODULES / "axe-core" / "axe.min.js", "axe-core"))


def faults(page: Page, look: Look) -> list[str]:
    """Return what axe-core finds in a look of the page, and whether something overflows."""
    page.emulate_media(color_scheme=look.scheme)
    overflow = overflows(page, look.width)
    violations = page.evaluate(VIOLATIONS, look.rules)
    return [f"{look.scheme} at {look.width}: {violation}" for violation in violations] + overflow


def overflows(page: Page, width: int) -> list[str]:
    page.set_viewport_size({"width": width, "height": HEIGHT})
    return [f"overflows at {width}"] if page.evaluate(OVERFLOW) else []
