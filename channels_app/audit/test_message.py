"""The test mail of administrators: sends one mail, and describes the attempt and the error."""

import smtplib
import socket
import ssl
from dataclasses import dataclass

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email

from channels_app.audit import mailing

TEXT = "Mails of the hub at {} arrive here. An administrator sent this test; you don't need to do anything."
# The first matching class gives the remedy.
REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (smtplib.SMTPAuthenticationError, "It refused the user name or the password of EMAIL_URL."),
    (smtplib.SMTPSenderRefused, "It does not accept mails from HUB_MAIL_FROM."),
    (smtplib.SMTPRecipientsRefused, "It does not accept mails to this address."),
    (
        smtplib.SMTPNotSupportedError,
        "It does not support a feature that EMAIL_URL requires, such as TLS or a password.",
    ),
    (smtplib.SMTPServerDisconnected, "It closed the connection: smtp+ssl is for port 465, smtp+tls for 587."),
    (ssl.SSLError, "TLS failed: smtp+ssl is for port 465, smtp+tls for 587, and the certificate has to be valid."),
    (socket.gaierror, "There is no host of that name."),
    (TimeoutError, "It did not answer in time. A firewall may block it, or the port may be wrong."),
    (ConnectionRefusedError, "No program listens on that port."),
)


@dataclass(frozen=True, slots=True)
class TestMessageResult:
    """The outcome of a test mail; `tried` and `found` are a sentence each."""

    is_sent: bool
    tried: str
    found: str


def send(to: str) -> TestMessageResult:
    """Send one mail now, and describe the result.

    It waits for the mail server, for at most EMAIL_TIMEOUT at each step.
    """
    try:
        validate_email(to)
    except ValidationError:
        return TestMessageResult(False, "Nothing was tried.", f"'{to[:100]}' is no e-mail address.")
    if not mailing.is_set_up():
        return TestMessageResult(
            False,
            "Nothing was tried.",
            "No mail server is set up: set EMAIL_URL. Until then mails are only printed to the log.",
        )
    message = EmailMessage("A test mail of Channelhub", TEXT.format(settings.HUB_PUBLIC_URL), to=[to])
    try:
        message.send()
    except OSError as error:
        return TestMessageResult(
            False, tried(to), f"It failed. {_remedy(error)} The error: {type(error).__name__}: {error}"
        )
    return TestMessageResult(True, tried(to), "The mail server accepted the mail. Check the mailbox for its arrival.")


def tried(to: str) -> str:
    security = "TLS from the start" if settings.EMAIL_USE_SSL else "STARTTLS" if settings.EMAIL_USE_TLS else "no TLS"
    by = f"as {settings.EMAIL_HOST_USER}" if settings.EMAIL_HOST_USER else "without a password"
    return (
        f"Tried to send a mail to {to}, from {settings.DEFAULT_FROM_EMAIL}, to the mail server "
        f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}, with {security}, {by}."
    )


def _remedy(error: OSError) -> str:
    return next(
        (sentence for kind, sentence in REMEDIES if isinstance(error, kind)), "The mail server did not accept it."
    )
