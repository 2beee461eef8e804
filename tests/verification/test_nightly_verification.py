"""The nightly verification: when it is due, that it runs once, its repairs and notifications."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app.audit import notifications, outbox
from channels_app.models import AuditEvent, Channel, User
from hub.storage import StoreError, store
from publishing import tasks
from publishing.models import Verification
from publishing.verification import verification
from tests.builders import make_channel, make_user
from tests.sample_channel import LIB, REPODATA

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)
Jobs = list[tuple[object, ...]]


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)


@pytest.fixture
def channel_with_packages(channel_with_packages: Channel) -> Channel:
    """Make the channel some days old."""
    Channel.objects.update(created_at=NOW - timedelta(days=9))
    return channel_with_packages


@pytest.mark.parametrize(
    ("now", "ended", "is_due"),
    [
        ("2026-10-05T03:00", None, True),
        ("2026-10-05T03:00", "2026-10-04T03:10", True),
        ("2026-10-05T02:59", "2026-10-04T03:10", False),
        ("2026-10-05T09:00", "2026-10-05T03:10", False),
        ("2026-10-05T09:00", "2026-10-01T03:10", True),
    ],
)
def test_verification_is_due_once_a_night(
    channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch, now: str, ended: str | None, is_due: bool
) -> None:
    monkeypatch.setattr("django.utils.timezone.now", lambda: datetime.fromisoformat(f"{now}+00:00"))
    if ended:
        Verification.objects.create(channel=channel_with_packages, ended_at=datetime.fromisoformat(f"{ended}+00:00"))
    jobs: Jobs = []
    monkeypatch.setattr(verification, "send", lambda *job: jobs.append(job))
    tasks.verify_channels()
    assert jobs == [("publishing.tasks.verify_channel", channel_with_packages.pk)] * is_due


def test_new_and_deleted_channels_wait(channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    make_channel("new", created_at=NOW)
    make_channel("gone", created_at=NOW - timedelta(days=9), deleted_at=NOW)
    jobs: Jobs = []
    monkeypatch.setattr(verification, "send", lambda *job: jobs.append(job))
    verification.send_due()
    assert [job[1] for job in jobs] == [channel_with_packages.pk]


def test_a_job_delivered_twice_is_done_once(channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks.verify_channel(channel_with_packages.pk)
    assert Verification.objects.get().ended_at == NOW
    monkeypatch.setattr(verification, "verify", lambda channel: pytest.fail("verified once more"))
    tasks.verify_channel(channel_with_packages.pk)
    tasks.verify_channel(10**6)


def test_nightly_verification_repairs_the_index_only_and_mails_administrators(
    channel_with_packages: Channel, olga: User, sent_jobs: Jobs, settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:  # fmt: skip
    root = make_user("root", is_superuser=True, email="root@example.org")
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    store().delete(LIB)
    store().delete(REPODATA)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.verify_channel(channel_with_packages.pk)
    kept = Verification.objects.get()
    assert (kept.difference_count, [kind for kind, _, _ in kept.differences]) == (1, ["missing bytes"])
    assert store().stat(REPODATA)
    event = AuditEvent.objects.get(action="channel.differ")
    assert (outbox.WAKE_UP,) in sent_jobs
    assert notifications.recipients(event.pk) == [root.pk]
    notifications.send(event.pk, root.pk)
    message = mail.outbox[0]
    assert (message.subject, message.to) == ("demo: database, index and store differ", ["root@example.org"])
    assert "found 2 differences" in message.body
    assert f"missing bytes: {LIB}\n" in message.body
    assert "1 of them remains" in message.body
    assert "manage.py verify demo --repair" in message.body


def test_clean_channel_sends_no_mail(channel_with_packages: Channel) -> None:
    tasks.verify_channel(channel_with_packages.pk)
    assert not AuditEvent.objects.filter(action__in=["channel.differ", "channel.repair"]).exists()


def test_unreachable_store_keeps_the_verification_due(
    channel_with_packages: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> None:
        raise StoreError("The store could not list demo: gone")

    monkeypatch.setattr("hub.storage.folder.FolderStore.stats", down)
    with pytest.raises(StoreError, match="gone"):
        tasks.verify_channel(channel_with_packages.pk)
    assert not Verification.objects.exists()
