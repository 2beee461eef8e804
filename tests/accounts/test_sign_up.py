"""Tests of sign-up: permissions, the form, and protection against account enumeration."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.accounts import sign_up
from channels_app.models import Channel, Role, User
from channels_app.people import invitations
from channels_app.people.invitation_views import IN_SESSION
from tests.builders import make_address, make_user
from tests.mailbox import arrived, mailed_code
from tests.pages import text

pytestmark = pytest.mark.django_db

SIGN_UP, VERIFY = "/accounts/signup/", "/accounts/confirm-email/"
FORM = {"username": "ada", "email": "ada@example.org", "password1": "granite-Window-9"}


@pytest.fixture
def is_open(settings: Settings) -> None:
    settings.HUB_SIGN_UP = "open"


@pytest.fixture
def invited(channel: Channel, olga: User) -> Client:
    """Return a browser that followed the link of an invitation of ada@example.org."""
    actor = Actor(user=olga)
    invitation = invitations.invite(actor=actor, channel=channel, email="ada@example.org", role=Role.VIEWER)
    client = Client()
    session = client.session
    session[IN_SESSION] = invitation.digest
    session.save()
    return client


def test_a_new_account_is_signed_in_once_its_address_is_verified(client: Client, is_open: None) -> None:
    answer = client.post(f"{SIGN_UP}?next=/channels", FORM | {"next": "/channels"})
    assert answer.headers["Location"] == VERIFY
    assert "Enter the code that was sent to <strong>ada@example.org</strong>" in text(client.get(VERIFY))
    assert client.get("/account").status_code == 302

    assert client.post(VERIFY, {"code": mailed_code()}).headers["Location"] == "/channels"
    address = EmailAddress.objects.get()
    assert (str(address.user), address.email, address.verified) == ("ada", "ada@example.org", True)
    assert "ada@example.org" in text(client.get("/account"))


def test_where_no_mail_goes_out_no_page_says_so(client: Client, is_open: None, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert "This hub sends no mail: a code is written to its log" in text(client.get(SIGN_UP))
    client.post(SIGN_UP, FORM)
    asked = client.get(VERIFY)
    assert "This hub sends no mail. Ask an administrator for the code for <strong>ada@example.org</strong>" in text(
        asked
    )
    assert "was sent" not in text(asked)
    assert "a code is written to the hub's log" in text(client.get("/accounts/password/reset/")).replace("&#x27;", "'")


def test_first_address_of_a_new_account_sends_no_warning(client: Client, is_open: None) -> None:
    client.post(SIGN_UP, FORM)
    client.post(VERIFY, {"code": mailed_code()})
    assert EmailAddress.objects.get().verified
    assert [mail.subject for mail in arrived() if "changed" in mail.subject] == []


def test_after_three_wrong_codes_the_right_one_is_void(client: Client, is_open: None) -> None:
    client.post(SIGN_UP, FORM)
    assert "Wrong code" in text(client.post(VERIFY, {"code": "wrong1"}))
    for _ in range(2):
        client.post(VERIFY, {"code": "wrong1"})
    client.post(VERIFY, {"code": mailed_code()})
    assert not EmailAddress.objects.filter(verified=True).exists()


def test_another_code_can_be_sent(client: Client, is_open: None) -> None:
    client.post(SIGN_UP, FORM)
    first = mailed_code()
    client.post(VERIFY, {"action": "resend"})
    assert mailed_code() != first
    assert client.post(VERIFY, {"code": mailed_code()}).headers["Location"] == "/"


def test_known_address_is_not_disclosed_on_the_page(is_open: None) -> None:
    make_address(make_user("mara", email="mara@example.org"), "mara@example.org")
    pages = []
    for email in ("mara@example.org", "ada@example.org"):
        page = text(Client().post(SIGN_UP, FORM | {"email": email}, follow=True))
        pages.append(re.sub(r'value="\w{64}"', "", page).replace(email, "ADDRESS"))
    assert pages[0] == pages[1]
    assert arrived()[0].subject == "You already have an account on Channelhub"
    assert "set another password: http://127.0.0.1:8000/accounts/password/reset/" in str(arrived()[0].body)


TAKEN = "This user name is taken, perhaps in other capitals. Choose another."
SHAPE = "Expected letters from a to z, digits"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": "Mara"}, TAKEN),
        ({"username": "ada@example.org"}, SHAPE),
        ({"username": "аda"}, SHAPE),  # the first letter is Cyrillic  # noqa: RUF001
        ({"username": "-ada"}, SHAPE),
        ({"email": "ada"}, "Enter a valid email address."),
        ({"password1": "short"}, "This password is too short."),
        ({"password1": "ada@example.org"}, "The password is too similar to the"),
        ({"password1": "password1"}, "This password is too common."),
    ],
)
def test_sign_up_with_bad_input_shows_the_error_in_the_form(
    client: Client, is_open: None, change: dict[str, str], message: str
) -> None:
    make_user("mara")
    assert message in text(client.post(SIGN_UP, FORM | change))
    assert User.objects.count() == 1


def test_without_an_invitation_there_is_no_page(client: Client) -> None:
    for page in (client.get(SIGN_UP), client.post(SIGN_UP, FORM)):
        assert "You need an invitation to sign up on this hub." in text(page)
    assert not User.objects.exists()


def test_invited_address_alone_may_sign_up(invited: Client) -> None:
    other = invited.post(SIGN_UP, FORM | {"email": "other@example.org"})
    assert "There is no pending invitation for other@example.org." in text(other)
    assert invited.post(SIGN_UP, FORM).headers["Location"] == VERIFY
    assert User.objects.filter(username="ada").exists()


def test_a_withdrawn_invitation_is_none(invited: Client, channel: Channel, olga: User) -> None:
    invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address="ada@example.org")
    assert "You need an invitation to sign up on this hub." in text(invited.get(SIGN_UP))


@pytest.mark.parametrize(
    ("policy", "email", "may"),
    [
        ("open", "ada@anywhere.example", True),
        ("invitation", "ada@corp.example", False),
        ("domains", "ada@corp.example", True),
        ("domains", "ada@CORP.example", True),
        ("domains", "ada@sub.corp.example", False),
        ("domains", "ada@corp.example.evil.example", False),
        ("domains", '"ada@corp.example"@evil.example', False),
    ],
)
def test_sign_up_follows_policy_and_domains(db: None, settings: Settings, policy: str, email: str, may: bool) -> None:
    settings.HUB_SIGN_UP, settings.HUB_SIGN_UP_DOMAINS = policy, ["corp.example"]
    assert sign_up.may_sign_up(email) == may


def test_another_domain_is_refused_in_words(client: Client, settings: Settings) -> None:
    settings.HUB_SIGN_UP, settings.HUB_SIGN_UP_DOMAINS = "domains", ["corp.example"]
    page = text(client.post(SIGN_UP, FORM))
    assert "ada@example.org has another domain; expected an address of corp.example" in page
