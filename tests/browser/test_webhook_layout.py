"""The pages of webhooks: text and controls keep their lines."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.looks import NARROW
from tests.browser.sample_hub import WEBHOOKS
from tests.live import LiveHub

OFFSETS = """() => [...document.querySelectorAll("main label.check")].map(label => {
  const range = document.createRange();
  range.selectNodeContents([...label.childNodes].find(node => node.nodeType === 3 && node.data.trim()));
  const [line, box] = [range.getClientRects()[0], label.querySelector("input").getBoundingClientRect()];
  return Math.abs((line.top + line.bottom - box.top - box.bottom) / 2);
})"""


@pytest.fixture(scope="module")
def webhooks(hub: LiveHub) -> LiveHub:
    """Return the hub with webhooks of the channel geo-tools and their deliveries."""
    hub.manage("createchannel", "geo-tools", "--owner", "olga")
    hub.shell(WEBHOOKS)
    return hub


def test_checkbox_is_beside_the_first_line_of_its_label(webhooks: LiveHub, visit: Visit) -> None:
    page = visit("olga").open("/channels/geo-tools/settings/webhooks")
    for width in (1280, NARROW):
        page.set_viewport_size({"width": width, "height": 900})
        assert max(page.evaluate(OFFSETS)) <= 2


def test_number_of_attempts_stays_on_one_line_beside_an_open_delivery(webhooks: LiveHub, visit: Visit) -> None:
    changes = "attempts=12, error='localhost has the private address 127.0.0.1; to allow it, add the host.'"
    webhooks.shell(f"WebhookDelivery.objects.update({changes})")
    page = visit("olga").open("/channels/geo-tools/settings/webhooks/1")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.evaluate("for (const each of document.querySelectorAll('main td details')) each.open = true")
    attempts = page.get_by_text("12 attempts", exact=True).first.bounding_box()
    assert attempts is not None
    assert attempts["height"] < 30
