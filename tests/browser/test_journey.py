"""One user story in three ways: with JavaScript and drag and drop, without JavaScript, and by keyboard only."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.archives import SHARED_PACKAGES
from tests.browser.conftest import Person, Visit, copied

GOOD = [
    "noarch/empty-0.1.0-h4616a5c_0.conda",
    "noarch/clobber-1-0.1.0-h4616a5c_0.tar.bz2",
    "linux-64/dummy-a-0.1.0-hb0f4dca_0.conda",
    "linux-64/package-0.2.0-hb0f4dca_0.conda",
]
BROKEN = "linux-64/ninja-0.1.0-hb0f4dca_0.conda"
INDEXED_MS = 120_000


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return four real packages and a truncated one."""
    broken = tmp_path / Path(BROKEN).name
    broken.write_bytes((SHARED_PACKAGES / BROKEN).read_bytes()[:-200])
    return [*(SHARED_PACKAGES / path for path in GOOD), broken]


def create_channel(person: Person, name: str) -> Page:
    page = person.open("/channels/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label(re.compile("^Description")).fill("Made by a test")
    page.get_by_role("button", name="Create channel").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    expect(page).to_have_url(f"{person.url}/channels/{name}")
    return page


def drop(page: Page, files: list[Path]) -> None:
    """Drop files onto the page with a DataTransfer, as a mouse does."""
    page.evaluate(
        "() => { window.chosen = document.createElement('input'); chosen.type = 'file'; chosen.multiple = true }"
    )
    chosen = page.evaluate_handle("() => document.body.appendChild(chosen)").as_element()
    assert chosen is not None
    chosen.set_input_files([str(path) for path in files])
    page.evaluate(
        """() => {
            const data = new DataTransfer()
            for (const file of chosen.files) data.items.add(file)
            chosen.remove()
            const zone = document.querySelector('.drop')
            for (const name of ['dragenter', 'dragover', 'drop'])
                zone.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }))
        }"""
    )


def make_public(page: Page) -> None:
    page.get_by_role("radio", name=re.compile("Public")).check()
    page.locator("input[name=confirm_visibility]").check()
    page.get_by_role("button", name="Save the settings").click()
    expect(page.get_by_text("The settings are saved.")).to_be_visible()


def leave(page: Page) -> None:
    """Wait until the page of dangerous actions is left, because the action is done then."""
    page.wait_for_url(lambda url: not url.endswith("/danger"))


def transfer(person: Person, channel: str, username: str) -> None:
    page = person.open(f"/channels/{channel}/settings/danger")
    form = page.locator("form", has=page.get_by_role("button", name=f"Transfer {channel}"))
    form.locator("input[name$=username]").fill(username)
    form.get_by_label(f"Type {channel} to confirm").fill(channel)
    form.get_by_role("button", name=f"Transfer {channel}").click()
    leave(page)


def join(owner: Person, invited: Person, channel: str, name: str = "max") -> None:
    """Let the owner invite a user, and the user accept."""
    page = owner.open(f"/channels/{channel}/settings/members?find={name}")
    # Found as a known user if other tests gave both a channel, else by the exact name.
    row = page.get_by_role("listitem").filter(has=page.get_by_text(name, exact=True)).filter(has_not_text="Team")
    row.get_by_role("combobox").select_option("owner")
    row.get_by_role("button", name="Invite").click()
    invited.open("/account/invitations").get_by_role("button", name="Accept").click()
    expect(invited.page.get_by_text(f"You are a member of {channel} now")).to_be_visible()


def delete(person: Person, channel: str, *, typed: str = "") -> None:
    page = person.open(f"/channels/{channel}/settings/danger")
    form = page.locator("form", has=page.get_by_role("button", name=f"Delete {channel}"))
    form.get_by_label(f"Type {channel} to confirm").fill(typed or channel)
    form.get_by_role("button", name=f"Delete {channel}").click()


def test_a_channels_life_with_drag_and_drop(visit: Visit, files: list[Path]) -> None:
    olga, sam = visit("olga"), visit("sam")
    page = create_channel(olga, "journey")
    assert sam.open("/channels/journey").title().startswith("Page not found")

    olga.open("/channels/journey/settings/upload")
    drop(page, files)
    queue = page.locator("upload-queue")
    expect(queue.get_by_text(re.compile("^Indexed in")).locator("visible=true")).to_have_count(4, timeout=INDEXED_MS)
    expect(queue.get_by_text("Refused", exact=True).locator("visible=true")).to_have_count(1)
    expect(queue.locator(".reason:visible")).to_contain_text("ninja-0.1.0-hb0f4dca_0.conda was refused: ")
    expect(queue.get_by_role("button", name="Retry").locator("visible=true")).to_have_count(1)

    page.reload()
    expect(page.get_by_role("link", name="dummy-a-0.1.0-hb0f4dca_0.conda")).to_be_visible()

    olga.open("/channels/journey")
    page.get_by_role("link", name="package", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("package")
    page.get_by_role("button", name=re.compile("^Copy")).first.click()
    assert f"{olga.url}/journey" in copied(page, "pixi ")

    olga.open("/channels/journey/settings")
    make_public(page)
    assert sam.open("/channels/journey").get_by_role("heading", level=1).inner_text() == "journey"
    assert sam.page.get_by_role("link", name="Settings").count() == 0
    assert sam.open("/channels/journey/settings").title().startswith("Not allowed")

    max_ = visit("max")
    join(olga, max_, "journey")
    transfer(olga, "journey", "max")
    assert olga.open("/channels/journey/settings/danger").title().startswith("Not allowed")
    delete(max_, "journey", typed="wrong")
    expect(max_.page.get_by_role("heading", name="Delete this channel")).to_be_visible()
    delete(max_, "journey")
    leave(max_.page)
    assert sam.open("/channels/journey").title().startswith("Page not found")


def test_journey_works_without_javascript(visit: Visit, files: list[Path]) -> None:
    olga, sam = visit("olga", javascript=False), visit("sam", javascript=False)
    page = create_channel(olga, "plain")
    olga.open("/channels/plain/settings/upload")
    page.get_by_label(re.compile("^Packages to upload")).set_input_files(files[0])
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("empty")
    olga.open("/channels/plain/settings/upload")
    page.get_by_label(re.compile("^Packages to upload")).set_input_files(files[-1])
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("ninja-0.1.0-hb0f4dca_0.conda was refused: ")

    olga.open("/channels/plain/settings")
    make_public(page)
    expect(sam.open("/channels/plain").get_by_role("link", name="empty", exact=True)).to_be_visible()
    max_ = visit("max", javascript=False)
    join(olga, max_, "plain")
    transfer(olga, "plain", "max")
    delete(max_, "plain")
    leave(max_.page)
    assert sam.open("/channels/plain").title().startswith("Page not found")


LOOKS = """() => {
    let look = '', element = document.activeElement
    for (let depth = 0; element && depth < 4; depth++, element = element.parentElement) {
        const style = getComputedStyle(element)
        look += [style.outline, style.boxShadow, style.borderColor, style.translate].join()
    }
    return look
}"""
NAMES = """() => {
    const element = document.activeElement
    const labels = [...(element.labels ?? [])].map(label => label.innerText)
    return element === document.body ? '' : [element.ariaLabel, element.innerText, ...labels].join()
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this name has the focus, and check that it is visible."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if name in page.evaluate(NAMES):
            focused = page.evaluate_handle("document.activeElement")
            look = page.evaluate(LOOKS)
            focused.evaluate("element => element.blur()")
            blurred = focused.evaluate(LOOKS.replace("() =>", "from =>").replace("document.activeElement", "from"))
            focused.evaluate("element => element.focus({ focusVisible: true })")
            assert look != blurred, f"{name} shows no focus"
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def press(page: Page, name: str, leads_to: str) -> None:
    """Tab to the element with this name and press Enter."""
    tab_to(page, name)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{leads_to}")


def type_into(page: Page, name: str, text: str) -> None:
    tab_to(page, name)
    page.keyboard.type(text)


def test_journey_works_by_keyboard_alone(visit: Visit, files: list[Path]) -> None:
    olga, max_, sam = visit("olga"), visit("max"), visit("sam")
    page = olga.open("/channels")
    press(page, "New channel", "/channels/new")
    type_into(page, "Name", "keys")
    press(page, "Create channel", "/channels/keys")

    press(page, "Upload", "/channels/keys/settings/upload")
    tab_to(page, "Packages to upload")
    # The file dialog belongs to the system; this replaces its answer.
    page.locator("input[type=file]:focus").set_input_files([files[0], files[-1]])
    expect(page.get_by_text(re.compile("^Indexed in")).locator("visible=true")).to_have_count(1, timeout=INDEXED_MS)
    expect(page.locator(".reason:visible")).to_contain_text("was refused: ")

    olga.open("/channels/keys")
    press(page, "empty", "/channels/keys/packages/empty")
    tab_to(page, "Copy")
    page.evaluate(
        "window.setTimeout = () => 0"
    )  # otherwise the button shows it for only 1.6 s, which a test could miss
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "/keys" in copied(page, "pixi ")

    olga.open("/channels/keys/settings")
    tab_to(page, "Private")
    page.keyboard.press("ArrowDown")
    tab_to(page, "Yes, change who can read")
    page.keyboard.press("Space")
    tab_to(page, "Save the settings")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1).locator("..")).to_contain_text("Public")
    sam.open("/")
    sam.page.keyboard.press("/")
    sam.page.keyboard.type("keys")
    sam.page.keyboard.press("Enter")
    sam.page.wait_for_url("**/search?q=keys")
    press(sam.page, "keys", "/channels/keys")

    join(olga, max_, "keys")
    press(page, "Delete or transfer", "/settings/danger")
    type_into(page, "User name of the new owner", "max")
    type_into(page, "Type keys to confirm", "keys")
    tab_to(page, "Transfer keys")
    page.keyboard.press("Enter")
    leave(page)
    danger = max_.open("/channels/keys/settings/danger")
    tab_to(danger, "Transfer keys")
    type_into(danger, "Type keys to confirm", "keys")
    tab_to(danger, "Delete keys")
    danger.keyboard.press("Enter")
    leave(danger)
    assert sam.open("/channels/keys").title().startswith("Page not found")
