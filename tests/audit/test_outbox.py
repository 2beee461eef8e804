"""Tests of the outbox: mails are sent in order, once, with retries, and survive the loss of the queue."""

import smtplib
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app import tasks
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log, notifications, outbox
from channels_app.models import AuditEvent, Channel, Outgoing, Role, User
from hub.celery import app
from publishing.models import FailedJob
from tests.builders import make_member, make_user

pytestmark = pytest.mark.django_db

Jobs = list[tuple[object, ...]]


class Down(BaseEmailBackend):
    """A mail server that is down, or that refuses some addresses."""

    refused: tuple[str, ...] = ()

    def send_messages(self, email_messages: Any) -> int:
        for message in email_messages:
            if not self.refused or message.to[0] in self.refused:
                raise ConnectionRefusedError("Connection refused")
            mail.outbox.append(message)
        return len(email_messages)


class Connection(smtplib.SMTP):
    """An SMTP connection that refuses some recipients: at the given command, with the given code."""

    refusals: dict[str, tuple[str, int]] = {}
    taken: list[str] = []

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def ehlo_or_helo_if_needed(self) -> None:
        self.esmtp_features = {}

    def sendmail(self, from_addr: str, to_addrs: Any, *arguments: Any, **options: Any) -> Any:
        [self.to] = to_addrs
        return super().sendmail(from_addr, to_addrs, *arguments, **options)

    def _answer(self, step: str) -> tuple[int, bytes]:
        refused_at, code = self.refusals.get(self.to, ("", 0))
        return (code, b"refused") if step == refused_at else (250, b"ok")

    def mail(self, *_: Any) -> tuple[int, bytes]:
        return self._answer("mail")

    def rcpt(self, *_: Any) -> tuple[int, bytes]:
        return self._answer("rcpt")

    def data(self, _: Any) -> tuple[int, bytes]:
        answer = self._answer("data")
        if answer[0] == 250:
            self.taken.append(self.to)
        return answer

    def rset(self) -> tuple[int, bytes]:
        return 250, b"ok"

    def quit(self) -> tuple[int, bytes]:
        return 221, b"bye"


@pytest.fixture(autouse=True)
def owners(channel: Channel, olga: User) -> None:
    """Make Olga and Jo owners of the channel."""
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    make_member(channel, make_user("jo", email="jo@example.org"), Role.OWNER)


@pytest.fixture(autouse=True)
def job_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a job end by its work alone, however busy the machine is."""
    monkeypatch.setattr(outbox, "JOB_S", 600.0)


@pytest.fixture(autouse=True, scope="module")
def jobs_are_loaded() -> None:
    """Import the jobs as a worker does; their modules record failed jobs."""
    app.loader.import_default_modules()


@pytest.fixture
def down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[Down]:
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    monkeypatch.setattr(Down, "refused", ())
    return Down


@pytest.fixture
def smtp(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[Connection]:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    monkeypatch.setattr(smtplib, "SMTP", Connection)
    monkeypatch.setattr(Connection, "refusals", {})
    monkeypatch.setattr(Connection, "taken", [])
    return Connection


def record_removal(channel: Channel, olga: User, target: str) -> AuditEvent:
    return log.record(
        Action.PUBLISHER_REMOVE, target=target, by=Actor(user=olga), channel=channel, detail={"fields": {}}
    )


def sent_mails() -> list[tuple[str, str]]:
    """Return address and target of the mails, in the order of sending."""
    return [(each.to[0], str(each.subject).partition(" ")[0]) for each in mail.outbox]


def let_all_be_due() -> None:
    Outgoing.objects.update(due_at=timezone.now() - timedelta(seconds=1))


def test_event_is_mailed_once_by_a_wake_up_job(
    channel: Channel,
    olga: User,
    sent_jobs: Jobs,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        record_removal(channel, olga, "a")
    assert sent_jobs == [(outbox.WAKE_UP,)]
    for _ in range(3):
        tasks.tell_waiting()
    assert sent_mails() == [("olga@example.org", "a"), ("jo@example.org", "a")]
    assert not Outgoing.objects.exists()


def test_mails_of_a_burst_go_out_in_order(channel: Channel, olga: User) -> None:
    for number in range(60):
        record_removal(channel, olga, f"event-{number}")
    tasks.tell_waiting()
    assert [target for to, target in sent_mails() if to == "jo@example.org"] == [
        f"event-{number}" for number in range(60)
    ]


def test_lost_queue_loses_no_mail(channel: Channel, olga: User, sent_jobs: Jobs) -> None:
    record_removal(channel, olga, "a")
    sent_jobs.clear()
    tasks.tell_waiting()  # as the schedule does
    assert len(sent_mails()) == 2


def test_server_that_is_down_is_tried_again_for_an_hour(channel: Channel, olga: User, down: type[Down]) -> None:
    record_removal(channel, olga, "a")
    tasks.tell_waiting()
    assert list(Outgoing.objects.values_list("tries", flat=True)) == [1, 1]
    tasks.tell_waiting()
    assert list(Outgoing.objects.values_list("tries", flat=True)) == [1, 1]
    assert sum(outbox.RETRY_S * 2**n for n in range(outbox.RETRIES_MAX)) > 3600

    down.refused = ("nobody",)
    let_all_be_due()
    tasks.tell_waiting()
    assert len(sent_mails()) == 2


def test_mail_that_fails_holds_back_the_later_ones_of_its_recipient_alone(
    channel: Channel, olga: User, down: type[Down]
) -> None:
    down.refused = ("olga@example.org",)
    for target in ("a", "b"):
        record_removal(channel, olga, target)
    tasks.tell_waiting()
    assert sent_mails() == [("jo@example.org", "a"), ("jo@example.org", "b")]
    down.refused = ("nobody",)
    let_all_be_due()
    tasks.tell_waiting()
    assert sent_mails()[2:] == [("olga@example.org", "a"), ("olga@example.org", "b")]


def test_mail_that_is_given_up_is_a_failed_job_that_can_be_sent_again(
    channel: Channel, olga: User, down: type[Down]
) -> None:
    event = record_removal(channel, olga, "a")
    for _ in range(outbox.RETRIES_MAX + 2):
        let_all_be_due()
        tasks.tell_waiting()
    assert not Outgoing.objects.exists()
    assert FailedJob.objects.filter(task=notifications.SEND, args=[event.pk, olga.pk]).exists()
    down.refused = ("nobody",)
    tasks.send_mail(event.pk, olga.pk)
    tasks.tell_waiting()
    assert sent_mails() == [("olga@example.org", "a")]


def test_message_that_cannot_be_made_stops_no_other(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = record_removal(channel, olga, "bad")
    AuditEvent.objects.filter(pk=bad.pk).update(action="no such action")
    record_removal(channel, olga, "good")
    tasks.tell_waiting()
    assert sent_mails() == [("olga@example.org", "good"), ("jo@example.org", "good")]
    assert FailedJob.objects.get().task == notifications.TELL


def test_server_that_is_down_costs_a_round_few_tries(channel: Channel, olga: User, down: type[Down]) -> None:
    for number in range(10):
        make_member(channel, make_user(f"owner-{number}", email=f"owner-{number}@example.org"), Role.OWNER)
    record_removal(channel, olga, "a")
    tasks.tell_waiting()
    assert Outgoing.objects.filter(tries=1).count() == outbox.FAILURES_AT_ONCE_MAX


@pytest.mark.parametrize(("step", "code"), [("rcpt", 550), ("data", 554)])
def test_mail_that_is_refused_for_good_is_a_failed_job_at_once(
    channel: Channel, olga: User, smtp: type[Connection], step: str, code: int
) -> None:
    smtp.refusals = {"olga@example.org": (step, code)}
    record_removal(channel, olga, "a")
    record_removal(channel, olga, "b")
    tasks.tell_waiting()
    assert smtp.taken == ["jo@example.org", "jo@example.org"]
    assert not Outgoing.objects.exists()
    assert FailedJob.objects.filter(task=notifications.SEND).count() == 2


@pytest.mark.parametrize(("step", "code"), [("rcpt", 450), ("data", 451), ("mail", 530), ("mail", 421), ("rcpt", 421)])
def test_mail_that_is_refused_for_now_is_tried_again(
    channel: Channel, olga: User, smtp: type[Connection], step: str, code: int
) -> None:
    smtp.refusals = {"olga@example.org": (step, code)}
    record_removal(channel, olga, "a")
    tasks.tell_waiting()
    assert smtp.taken == ["jo@example.org"]
    assert Outgoing.objects.get().tries == 1
    assert not FailedJob.objects.exists()
    smtp.refusals = {}
    let_all_be_due()
    tasks.tell_waiting()
    assert smtp.taken == ["jo@example.org", "olga@example.org"]


@pytest.mark.parametrize("code", [550, 450])
def test_refused_recipients_delay_no_other_mail(
    channel: Channel, olga: User, smtp: type[Connection], code: int
) -> None:
    refused = [make_user(f"refused-{number}", email=f"refused-{number}@example.org") for number in range(60)]
    smtp.refusals = {user.email: ("rcpt", code) for user in refused}
    event = record_removal(channel, olga, "a")
    Outgoing.objects.all().delete()
    for user in [*refused, olga]:
        outbox.put(notifications.SEND, event.pk, user.pk, lane=notifications.lane(user.pk))
    tasks.tell_waiting()
    assert smtp.taken == ["olga@example.org"]


@pytest.mark.parametrize(("step", "code"), [("data", 451), ("mail", 421), ("rcpt", 421)])
def test_server_that_takes_no_mail_now_is_asked_few_times(
    channel: Channel, olga: User, smtp: type[Connection], step: str, code: int
) -> None:
    people = [make_user(f"owner-{number}", email=f"owner-{number}@example.org") for number in range(10)]
    smtp.refusals = {user.email: (step, code) for user in people}
    event = record_removal(channel, olga, "a")
    Outgoing.objects.all().delete()
    for user in people:
        outbox.put(notifications.SEND, event.pk, user.pk, lane=notifications.lane(user.pk))
    tasks.tell_waiting()
    assert Outgoing.objects.filter(tries=1).count() == outbox.FAILURES_AT_ONCE_MAX


def test_mails_never_tried_go_before_those_that_failed(
    channel: Channel, olga: User, down: type[Down], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [record_removal(channel, olga, "a"), record_removal(channel, olga, "b")]
    Outgoing.objects.all().delete()
    jo = User.objects.get(username="jo")
    for event, user in [(events[0], olga), (events[1], olga), (events[1], jo)]:
        outbox.put(notifications.SEND, event.pk, user.pk, lane=notifications.lane(user.pk))
    down.refused = ("olga@example.org",)
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "AT_ONCE", 1)
        patch.setattr(outbox, "FAILURES_AT_ONCE_MAX", 1)
        tasks.tell_waiting()
    down.refused = ("nobody",)
    let_all_be_due()
    tasks.tell_waiting()
    assert sent_mails() == [("jo@example.org", "b"), ("olga@example.org", "a"), ("olga@example.org", "b")]


def test_jobs_of_an_earlier_version_are_done(channel: Channel, olga: User) -> None:
    event = record_removal(channel, olga, "a")
    Outgoing.objects.all().delete()
    tasks.tell(event.pk)
    tasks.tell_waiting()
    assert len(sent_mails()) == 2
    tasks.send_mail(event.pk, olga.pk)
    tasks.tell_waiting()
    assert len(sent_mails()) == 3


def test_job_ends_after_its_time_and_sends_another(
    channel: Channel, olga: User, sent_jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "JOB_S", -1.0)
    record_removal(channel, olga, "a")
    sent_jobs.clear()
    tasks.tell_waiting()
    assert sent_jobs == [(outbox.WAKE_UP,)]
    assert mail.outbox == []


def test_mails_beyond_a_limit_wait_for_the_next_window(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"delivery-by-recipient": 1}
    for target in ("one", "two"):
        record_removal(channel, olga, target)
    tasks.tell_waiting()
    assert sent_mails() == [("olga@example.org", "one"), ("jo@example.org", "one")]
    assert [(row.tries, row.due_at > timezone.now()) for row in Outgoing.objects.all()] == [(0, True)] * 2
    settings.HUB_RATE_LIMITS = {}
    let_all_be_due()
    tasks.tell_waiting()
    assert sent_mails()[2:] == [("olga@example.org", "two"), ("jo@example.org", "two")]
    assert not FailedJob.objects.exists()


def test_mails_are_limited_in_all(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"delivery-by-hub": 1}
    record_removal(channel, olga, "one")
    tasks.tell_waiting()
    assert len(sent_mails()) == 1
    assert Outgoing.objects.count() == 1


def test_mails_that_failed_count_against_no_limit(
    channel: Channel, olga: User, settings: Settings, down: type[Down], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HUB_RATE_LIMITS = {"delivery-by-recipient": 1, "delivery-by-hub": 2}
    record_removal(channel, olga, "one")
    for _ in range(3):
        tasks.tell_waiting()
        let_all_be_due()
    monkeypatch.setattr(Down, "refused", ("nobody@example.org",))
    tasks.tell_waiting()
    assert len(sent_mails()) == 2
