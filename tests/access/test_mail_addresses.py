"""Tests of e-mail addresses against similar addresses and unverified ones."""

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.access import mail_addresses
from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, Channel, Invitation, Role, User
from channels_app.people import invitations, teams
from tests.builders import make_address, make_team, make_user
from tests.pages import Response
from tests.refusals import refused

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
# Addresses with letters that PostgreSQL changes in upper case (dotless i, long s), and the addresses that they imitate.
DOTLESS = "mi\N{LATIN SMALL LETTER DOTLESS I}a@example.org"
MEANT = {DOTLESS: "miia@example.org", "mia@example\N{LATIN SMALL LETTER LONG S}.org": "mia@examples.org"}


def invite(channel: Channel, owner: User, email: str) -> Invitation:
    return invitations.invite(actor=Actor(user=owner), channel=channel, email=email, role=Role.MAINTAINER)


@pytest.mark.parametrize("address", MEANT)
def test_invitation_is_not_for_an_address_of_other_letters(
    channel: Channel, olga: User, sam: User, address: str
) -> None:
    """Regression: the invitation was listed for the owner of the similar address and could be accepted."""
    make_address(sam, address)
    invitation = invite(channel, olga, MEANT[address])
    assert invitation.user is None
    assert not invitations.mine(sam)
    with refused(403, "not_your_address", f"This invitation was sent to {MEANT[address]}, which is not a verified"):
        invitations.accept(user=sam, invitation=invitation)


@pytest.mark.parametrize("address", MEANT)
def test_team_with_a_lookalike_address_adds_no_user(admin_user: User, olga: User, sam: User, address: str) -> None:
    team = make_team("mappers", manager=olga)
    make_address(sam, address)
    with refused(404, "no_such_user", "No user has the user name or verified e-mail address"):
        teams.add(user=admin_user, team=team, name_or_address=MEANT[address])


def test_capitals_make_no_other_address(channel: Channel, olga: User, sam: User) -> None:
    make_address(sam, "sam@example.org")
    invitation = invite(channel, olga, " SAM@Example.org")
    assert list(invitations.mine(sam)) == [invitation]
    invitations.accept(user=sam, invitation=invitation)


@pytest.fixture
def mara(db: None) -> User:
    """Return a user with a verified address, which Sam's older account has as an unverified one."""
    make_address(make_user("sam", password=PASSWORD), "mara@example.org", verified=False)
    mara = make_user("mara", password=PASSWORD)
    make_address(mara, "mara@example.org")
    return mara


@pytest.mark.parametrize("name", ["mara", "Mara", " MARA@example.org ", "mara@example.org"])
def test_account_of_an_address_is_the_one_that_verified_it(mara: User, name: str) -> None:
    assert mail_addresses.account_named(name) == mara


def test_account_named_by_a_lookalike_address_is_not_found(mara: User) -> None:
    make_address(make_user("first"), DOTLESS)
    assert mail_addresses.account_named("miia@example.org") is None


def test_unverified_address_of_several_accounts_finds_none(db: None) -> None:
    first = make_user("first", email="both@example.org")
    assert mail_addresses.account_named("both@example.org") == first
    assert mail_addresses.account_named("other@example.org") is None
    make_address(make_user("second"), "both@example.org", verified=False)
    assert mail_addresses.account_named("both@example.org") is None
    assert mail_addresses.account_named("") is None


def test_account_with_an_address_as_its_user_name_is_found_by_it(mara: User) -> None:
    former = make_user("mara@example.org")
    assert mail_addresses.account_named("mara@example.org") == former


def sign_in(client: Client, login: str, password: str = PASSWORD) -> Response:
    return client.post("/accounts/login/", {"login": login, "password": password}, headers={"Accept": "text/html"})


def test_wrong_passwords_by_address_count_for_its_owner(mara: User, settings: Settings) -> None:
    """Regression: they counted for the first account with the address, so its known browser could go on guessing."""
    settings.HUB_RATE_LIMITS = {"sign-in-by-account": 2}
    assert [sign_in(Client(), "mara@example.org", "wrong").status_code for _ in range(2)] == [200, 200]
    guesser = Client()
    assert sign_in(guesser, "sam").status_code == 302
    guesser.post("/accounts/logout/")
    assert sign_in(guesser, "mara@example.org", "wrong").status_code == 429
    failed = AuditEvent.objects.filter(action="account.sign_in_failed")
    assert set(failed.values_list("actor__username", flat=True)) == {"mara"}
