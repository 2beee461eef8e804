"""Tests of the test mail: page and command report the settings and the error."""

import smtplib
import socket
from io import StringIO
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from channels_app.audit import test_message
from channels_app.models import User
from tests.builders import make_user
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db

TO = "ada@example.org"
TRIED = (
    f"Tried to send a mail to {TO}, from Channelhub <hub@127.0.0.1>, to the mail server mail.example.org:587, "
    "with STARTTLS, as hub."
)


class Failing(BaseEmailBackend):
    error: OSError = OSError()

    def send_messages(self, email_messages: Any) -> int:
        raise self.error


@pytest.fixture(autouse=True)
def server(settings: Settings) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_USE_TLS = "mail.example.org", 587, True
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "hub", "s3cret-of-mail"
    settings.DEFAULT_FROM_EMAIL = "Channelhub <hub@127.0.0.1>"


@pytest.fixture
def ada(db: None) -> Client:
    """Return the browser of an administrator."""
    return signed_in(make_user("ada", is_superuser=True, is_staff=True, email=TO))


def by_command(address: str = TO) -> tuple[str, str]:
    """Run the command. Return its output and its error."""
    out, failure = StringIO(), ""
    try:
        call_command("testmail", address, stdout=out)
    except CommandError as error:
        failure = str(error)
    return out.getvalue(), failure


def test_test_message_by_command_and_page_is_sent(ada: Client) -> None:
    took = "The mail server accepted the mail. Check the mailbox for its arrival."
    assert by_command() == (f"{TRIED}\n{took}\n", "")
    assert f'value="{TO}"' in text(ada.get("/status"))
    assert messages(ada.post("/status", {"test_mail": TO})) == [f"{TRIED} {took}"]
    assert [each.to for each in mail.outbox] == [[TO], [TO]]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (smtplib.SMTPAuthenticationError(535, b"no"), "It refused the user name or the password of EMAIL_URL."),
        (smtplib.SMTPRecipientsRefused({TO: (550, b"no")}), "It does not accept mails to this address."),
        (smtplib.SMTPSenderRefused(550, b"no", "hub"), "It does not accept mails from HUB_MAIL_FROM."),
        (smtplib.SMTPServerDisconnected("closed"), "It closed the connection"),
        (socket.gaierror(-2, "unknown"), "There is no host of that name."),
        (TimeoutError("timed out"), "It did not answer in time"),
        (ConnectionRefusedError(111, "Connection refused"), "No program listens on that port."),
        (OSError("odd"), "The mail server did not accept it. The error: OSError: odd"),
    ],
)
def test_test_message_that_failed_names_the_cause(
    ada: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Failing"
    monkeypatch.setattr(Failing, "error", error)
    printed, failure = by_command()
    assert printed == f"{TRIED}\n"
    assert sentence in failure
    assert f"The error: {type(error).__name__}" in failure
    [message] = messages(ada.post("/status", {"test_mail": TO}))
    assert message == f"{TRIED} {failure}"
    assert "s3cret" not in message


def test_test_message_without_a_mail_server_is_not_sent(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    with pytest.raises(CommandError) as caught:
        call_command("testmail", TO, stdout=StringIO())
    assert caught.value.returncode == 1
    printed, failure = by_command()
    assert (printed, failure) == (
        "Nothing was tried.\n",
        "No mail server is set up: set EMAIL_URL. Until then mails are only printed to the log.",
    )


@pytest.mark.parametrize("address", ["", "ada", "a@example.org\nBcc: b@example.org"])
def test_no_address_is_no_recipient(address: str) -> None:
    assert by_command(address)[1].endswith("is no e-mail address.")
    assert mail.outbox == []


def test_test_message_is_limited_and_for_administrators_only(ada: Client, sam: User, settings: Settings) -> None:
    assert signed_in(sam).post("/status", {"test_mail": TO}).status_code == 404
    settings.HUB_RATE_LIMITS = {"email-by-account": 1}
    assert ada.post("/status", {"test_mail": TO}).status_code == 302
    assert ada.post("/status", {"test_mail": TO}).status_code == 429
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("ssl", "tls", "user", "words"),
    [(True, False, "", "with TLS from the start, without a password."), (False, False, "", "with no TLS, without a")],
)
def test_test_message_describes_the_server_and_protocol(
    settings: Settings, ssl: bool, tls: bool, user: str, words: str
) -> None:
    settings.EMAIL_USE_SSL, settings.EMAIL_USE_TLS, settings.EMAIL_HOST_USER = ssl, tls, user
    assert words in test_message.tried(TO)
