"""Tests against account enumeration: neither texts, nor the work done, nor a failing mail server reveal an account."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import hashers
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels_app import tasks
from channels_app.audit import mailing
from channels_app.models import Letter, Outgoing, RateCount, User
from hub.celery import app
from publishing.models import FailedJob
from tests.builders import make_address, make_user
from tests.mailbox import arrived
from tests.pages import Response

pytestmark = pytest.mark.django_db

PASSWORD = "tungsten-Lantern-7"
SIGN_UP, VERIFY = "/accounts/signup/", "/accounts/confirm-email/"
LOGIN, RESET, CONFIRM = "/accounts/login/", "/accounts/password/reset/", "/accounts/password/reset/confirm/"
KNOWN, UNKNOWN = "mara@example.org", "nora@example.org"
# Statements of transactions: the test's own transaction changes them.
STEPS = ("SAVEPOINT", "RELEASE", "ROLLBACK", "BEGIN", "COMMIT")


class Work(BaseEmailBackend):
    """A counter of password hashes, and a mail server that is down."""

    hashes = 0

    def send_messages(self, messages: object) -> int:
        raise ConnectionRefusedError


class CountingHasher(hashers.MD5PasswordHasher):
    algorithm = "counting"

    def encode(self, password: str, salt: str) -> str:
        Work.hashes += 1
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def counted(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    settings.HUB_SIGN_UP = "open"


@pytest.fixture(autouse=True)
def mara(db: None, counted: None) -> User:
    """Return a user with a verified address."""
    mara = make_user("mara", password=PASSWORD, email=KNOWN)
    make_address(mara, KNOWN)
    make_user("ended", password=PASSWORD, email="ended@example.org", is_active=False)
    make_user("social", email="social@example.org").set_unusable_password()
    return mara


def database_work(ask: Callable[[], Response], *, with_reads: bool = True) -> tuple[dict[str, int], str, int]:
    """Return the database's work by kind with the hashes, the text of the page, and the number of queued mails."""
    RateCount.objects.all().delete()
    before, letters = Work.hashes, Letter.objects.count()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page = ask()
    kinds = Counter(query["sql"].split()[0] for query in queries if not query["sql"].startswith(STEPS))
    done = {"hashes": Work.hashes - before, "writes": kinds["INSERT"] + kinds["UPDATE"] + kinds["DELETE"]}
    done |= {"reads": kinds["SELECT"] + kinds["DECLARE"], "cursors": kinds["DECLARE"]} if with_reads else {}
    return done, plain(page), Letter.objects.count() - letters


def plain(page: Response) -> str:
    """Return the page without random values and without the typed login."""
    body = re.sub(r'value="\w{64}"', "", page.content.decode())
    for typed in ("mara", "nora", "ended", "social", "nobody"):
        body = body.replace(f"{typed}@example.org", "TYPED").replace(f'value="{typed}"', 'value="TYPED"')
    return f"{page.status_code} {page.redirect_chain} {body}"


def post(path: str, **form: str) -> Callable[[], Response]:
    return lambda: Client().post(path, form, follow=True)


@pytest.mark.parametrize("login", ["mara", KNOWN, "ended", "ended@example.org", "social", "social@example.org"])
def test_sign_in_with_a_wrong_password_costs_one_hash_for_any_name(login: str) -> None:
    # allauth makes one more query for an unknown address. A password hash takes hundreds of milliseconds and hides it.
    wrong = database_work(post(LOGIN, login=login, password="wrong"), with_reads=False)
    name = "nobody@example.org" if "@" in login else "nobody"
    nobody = database_work(post(LOGIN, login=name, password="wrong"), with_reads=False)
    assert wrong == nobody
    assert wrong[0]["hashes"] == 1


def test_signing_up_with_a_known_address_costs_the_same_work() -> None:
    form = {"username": "newcomer", "password1": "granite-Window-9"}
    known = database_work(post(SIGN_UP, email=KNOWN, **form))
    assert not User.objects.filter(username="newcomer").exists()
    unknown = database_work(post(SIGN_UP, email=UNKNOWN, **form))
    assert known[1:] == unknown[1:]
    assert (known[0]["hashes"], known[2]) == (1, 1)
    assert [known[0][kind] for kind in ("hashes", "reads")] == [unknown[0][kind] for kind in ("hashes", "reads")]
    assert abs(known[0]["writes"] - unknown[0]["writes"]) <= 1
    assert [each.to for each in arrived()] == [[KNOWN], [UNKNOWN]]


def test_requesting_another_code_costs_the_same_work() -> None:
    found = []
    for email in (KNOWN, UNKNOWN):
        client = Client()
        client.post(SIGN_UP, {"username": "newcomer", "password1": "granite-Window-9", "email": email})
        found.append(database_work(lambda: client.post(VERIFY, {"action": "resend"}, follow=True)))  # noqa: B023
    assert found[0] == found[1]
    assert found[0][2] == 1
    assert [each.to for each in arrived()] == [[KNOWN], [UNKNOWN], [UNKNOWN]]


def test_page_of_the_code_costs_the_same_work() -> None:
    """Count the reads, too: the page is quick and not limited, so 200 responses would show a difference."""
    found = []
    for email in (KNOWN, UNKNOWN):
        client = Client()
        client.post(SIGN_UP, {"username": "newcomer", "password1": "granite-Window-9", "email": email})
        shown = database_work(lambda: client.get(VERIFY, follow=True))  # noqa: B023
        found.append([shown, database_work(lambda: client.post(VERIFY, {"code": "WRONG1"}, follow=True))])  # noqa: B023
    assert found[0] == found[1]


def test_password_reset_costs_the_same_work() -> None:
    known, unknown, ended = (database_work(post(RESET, email=email)) for email in (KNOWN, UNKNOWN, "ended@example.org"))
    assert known == unknown == ended
    assert known[2] == 1
    assert [each.to for each in arrived()] == [[KNOWN]]
    assert "for your account on the hub at" in str(mail.outbox[0].body)


def test_wrong_codes_get_equal_responses() -> None:
    found = []
    for email in (KNOWN, UNKNOWN):
        client = Client()
        client.post(RESET, {"email": email})
        found.append([plain(client.post(CONFIRM, {"code": "WRONG1"}, follow=True)) for _ in range(4)])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (RESET, {"email": KNOWN}),
        (RESET, {"email": UNKNOWN}),
        (SIGN_UP, {"username": "newcomer", "email": UNKNOWN, "password1": "granite-Window-9"}),
        (SIGN_UP, {"username": "newcomer", "email": KNOWN, "password1": "granite-Window-9"}),
    ],
)
def test_unreachable_mail_server_changes_no_response(path: str, form: dict[str, str], settings: Settings) -> None:
    up = plain(post(path, **form)())
    User.objects.filter(username="newcomer").delete()
    settings.EMAIL_BACKEND = f"{__name__}.Work"
    assert plain(post(path, **form)()) == up
    tasks.tell_waiting()
    User.objects.filter(username="newcomer").delete()
    assert plain(post(path, **form)()) == up


def test_a_mail_that_failed_is_tried_again_while_its_code_holds(settings: Settings) -> None:
    settings.EMAIL_BACKEND, working = f"{__name__}.Work", settings.EMAIL_BACKEND
    post(RESET, email=KNOWN)()
    tasks.tell_waiting()
    settings.EMAIL_BACKEND = working
    Outgoing.objects.update(due_at=timezone.now())
    assert [each.to for each in arrived()] == [[KNOWN]]
    assert not Letter.objects.exists()


def test_expired_code_is_not_sent(settings: Settings) -> None:
    post(RESET, email=KNOWN)()
    Letter.objects.update(created_at=timezone.now() - mailing.LETTER_TTL - timedelta(seconds=1))
    assert arrived() == []
    assert not Letter.objects.exists()
    assert not Outgoing.objects.exists()


def test_no_code_is_among_failed_jobs(settings: Settings) -> None:
    """Check the failed jobs, because administrators see their arguments."""
    app.loader.import_default_modules()
    settings.EMAIL_BACKEND = f"{__name__}.Work"
    post(RESET, email=KNOWN)()
    Outgoing.objects.update(tries=99)
    tasks.tell_waiting()
    [letter] = Letter.objects.all()
    assert FailedJob.objects.get().args == [letter.pk]


def test_mails_requested_by_visitors_are_limited_in_total(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mail-by-visitors": 2}
    answers: list[Any] = [post(RESET, email=f"{name}@example.org")().status_code for name in ("mara", "a", "b")]
    assert answers == [200, 200, 429]
    before = User.objects.count()
    refused = post(SIGN_UP, username="newcomer", email=UNKNOWN, password1="granite-Window-9")()
    assert (refused.status_code, User.objects.count()) == (429, before)


def test_mails_to_one_recipient_are_limited_over_all_pages(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mail-by-recipient": 2}
    client = Client()
    client.post(SIGN_UP, {"username": "newcomer", "email": UNKNOWN, "password1": "granite-Window-9"})
    assert client.post(VERIFY, {"action": "resend"}).status_code == 302
    assert client.post(VERIFY, {"action": "resend"}).status_code == 429
    assert post(RESET, email=UNKNOWN.upper())().status_code == 429
