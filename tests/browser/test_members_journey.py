"""Tests of an invitation in the browser: no such user, invited by mail, signed up by the mail's link, accepted."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, Visit
from tests.clients.plain import seconds_until
from tests.live import LiveHub

LINK = re.compile(r"/invitations/[\w-]{43}(?=\n)")
CODE = re.compile(r"^ {4}([A-Z0-9-]{6,9})$", re.MULTILINE)


class Mails:
    """Mails that the hub prints."""

    def __init__(self, hub: LiveHub) -> None:
        self.hub = hub
        self.seen = len(hub.log())

    def next(self, wanted: re.Pattern[str]) -> str:
        """Return the match of `requested_revision` in the next mail that has one."""
        found: list[str] = []

        def is_there() -> bool:
            found.extend(wanted.findall(self.hub.log()[self.seen :]))
            return bool(found)

        seconds_until(is_there)
        self.seen = len(self.hub.log())
        return found[0]


def find(page: Page, text: str) -> None:
    page.get_by_label("User, team or e-mail address").fill(text)
    page.get_by_role("button", name="Find").click()
    page.wait_for_url("**?find=*")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
def test_the_invited_signs_up_and_joins(hub: LiveHub, visit: Visit, javascript: bool) -> None:
    name = "ines" if javascript else "eve"
    mails, channel, email = Mails(hub), f"joined-by-{name}", f"{name}@example.org"
    hub.manage("createchannel", channel, "--owner", "olga")
    owner = visit("olga", javascript=javascript).open(f"/channels/{channel}/settings/members")
    find(owner, email)
    row = owner.get_by_role("listitem").filter(has_text=email)
    row.get_by_label(f"Role of {email}").select_option("contributor")
    row.get_by_role("button", name="Invite").click()
    expect(
        owner.get_by_text(f"{email} is invited. No mail is sent, since no mail server is configured")
    ).to_be_visible()
    expect(owner.get_by_role("row", name=email)).to_contain_text("Contributor")

    page = visit(None, javascript=javascript).open(mails.next(LINK))
    assert page.url == f"{hub.url}/invitations"
    expect(page.get_by_role("main")).to_contain_text(f"olga invites {email} to this channel.")
    page.get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill(name)
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up", exact=True).click()
    expect(page.get_by_label("Code")).to_be_visible()
    page.get_by_label("Code").fill(mails.next(CODE))
    page.get_by_role("button", name="Confirm").click()

    expect(page.get_by_role("heading", name=f"Join {channel}?")).to_be_visible()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_text(f"You are a member of {channel} now: contributor.")).to_be_visible()
    assert page.url == f"{hub.url}/channels/{channel}"

    owner.reload()
    expect(owner.get_by_role("region", name="Pending invitations")).to_be_hidden()
    expect(owner.get_by_role("row", name=name)).to_contain_text("Contributor")
    owner.get_by_role("link", name="Activity").click()
    expect(owner.get_by_role("main")).to_contain_text(f"{name} accepted an invitation and is a contributor")


def test_team_member_loses_access_by_leaving_the_team(hub: LiveHub, visit: Visit) -> None:
    hub.manage("createchannel", "mapped", "--owner", "olga")
    manager = visit("sam").open("/teams")
    manager.get_by_label("Name").fill("cartographers")
    manager.get_by_role("button", name="Create team").click()
    manager.get_by_label("Exact user name or e-mail address").fill("max")
    manager.get_by_role("button", name="Invite to the team").click()
    expect(manager.get_by_role("region", name="Pending invitations")).to_contain_text("max")
    invited = visit("max").open("/account/invitations")
    invited.get_by_role("button", name="Accept").click()
    expect(invited.get_by_text("You are in the team cartographers now.")).to_be_visible()

    owner = visit("olga").open("/channels/mapped/settings/members")
    # Typed without a click, as users do.
    owner.get_by_label("User, team or e-mail address").press_sequentially("cartographers")
    row = owner.get_by_role("listitem").filter(has_text="The team with exactly this name")
    row.get_by_role("button", name="Invite").click()
    expect(owner.get_by_text("team cartographers is invited, and is a member once")).to_be_visible()
    manager.goto(f"{hub.url}/account/invitations")
    manager.get_by_role("button", name="Accept").click()
    expect(manager.get_by_text("Team cartographers is a member of mapped now: contributor.")).to_be_visible()

    person = visit("max")
    page = person.open("/channels/mapped/leave")
    expect(page.get_by_role("main")).to_contain_text("You are a member of mapped only through the team cartographers")
    page.get_by_role("link", name="cartographers").click()
    page.get_by_role("link", name="Leave").click()
    page.get_by_role("button", name="Leave cartographers").click()
    expect(page.get_by_text("max was removed from the team")).to_be_visible()
    expect(person.open("/channels/mapped").get_by_role("main")).to_contain_text("Page not found")
