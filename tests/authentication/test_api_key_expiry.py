"""Tests of mails about API keys: new keys, and keys that expire soon."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app import tasks
from channels_app.audit import outbox
from channels_app.models import ApiKey, AuditEvent, Channel, Outgoing, Role, User
from hub.celery import app
from tests.builders import make_key, make_member, make_publisher, make_robot, make_short_lived_token, make_user

pytestmark = pytest.mark.django_db

Jobs = list[tuple[object, ...]]


@pytest.fixture(autouse=True)
def addresses(settings: Settings, channel: Channel, olga: User) -> None:
    """Make Olga and Jo owners and Tom a maintainer, all with addresses."""
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    make_member(channel, make_user("jo", email="jo@example.org"), Role.OWNER)
    make_member(channel, make_user("tom", email="tom@example.org"), Role.MAINTAINER)


def sent_mails(jobs: Jobs) -> list[tuple[list[str], str]]:
    """Run the worker's job. Return recipients and subjects of the mails."""
    assert (outbox.WAKE_UP,) in jobs
    tasks.tell_waiting()
    return [(each.to, str(each.subject)) for each in mail.outbox]


def make_old(**fields: Any) -> None:
    """Make all keys a year old, with five days left, except for `fields`."""
    now = timezone.now()
    values = {"created_at": now - timedelta(days=360), "expires_at": now + timedelta(days=5)}
    ApiKey.objects.update(**values | fields)


def test_new_key_is_mailed_to_its_owner(
    channel: Channel,
    olga: User,
    sent_jobs: Jobs,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        secret = make_key(olga, channels=[channel], package_globs=["sample-*"])
    assert sent_mails(sent_jobs) == [(["olga@example.org"], "A new API key: test")]
    body = str(mail.outbox[0].body)
    assert "olga created an API key on https://hub.example.org:" in body
    assert (
        f"    test ({secret[:11]}…)\n    permissions: read, upload\n    channels: demo\n    package names: sample-*\n"
        "    expires: never\n" in body
    )
    assert "https://hub.example.org/account/keys\n" in body
    assert secret not in body


def test_new_channel_key_is_mailed_to_the_owners(
    channel: Channel,
    olga: User,
    sent_jobs: Jobs,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        make_robot(channel, olga)
    assert sent_mails(sent_jobs) == [([f"{name}@example.org"], "A new API key: nightly") for name in ("olga", "jo")]
    body = str(mail.outbox[1].body)
    assert "olga created an API key of demo on https://hub.example.org:" in body
    assert "https://hub.example.org/channels/demo/settings/robots\n" in body
    assert "channels:" not in body


def test_expiring_key_is_mailed_once(
    olga: User, sent_jobs: Jobs, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    secret = make_key(olga)
    Outgoing.objects.all().delete()
    make_old()
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            tasks.warn_of_expiring_keys()
    assert sent_mails(sent_jobs) == [(["olga@example.org"], "The API key test expires soon")]
    body = str(mail.outbox[0].body)
    day = f"{ApiKey.objects.get().expires_at:%Y-%m-%d}"
    assert f"An API key on https://hub.example.org expires on {day}:" in body
    assert f"    test ({secret[:11]}…)\n    permissions: read, upload\n    last used: never\n" in body
    assert AuditEvent.objects.filter(action="key.expires").count() == 1


def test_expiring_channel_key_is_mailed_to_the_owners(
    channel: Channel,
    olga: User,
    sent_jobs: Jobs,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    make_robot(channel, olga)
    Outgoing.objects.all().delete()
    make_old(last_used_at=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        tasks.warn_of_expiring_keys()
    assert [to for to, _ in sent_mails(sent_jobs)] == [["olga@example.org"], ["jo@example.org"]]
    body = str(mail.outbox[0].body)
    assert "An API key of demo on https://hub.example.org expires on" in body
    assert f"last used: {timezone.now():%Y-%m-%d}" in body


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_at": None},
        {"expires_at": timezone.now() + timedelta(days=8)},
        {"expires_at": timezone.now() - timedelta(hours=1)},
        {"revoked_at": timezone.now()},
        {"warned_at": timezone.now()},
        {"created_at": timezone.now()},
    ],
    ids=["never", "later", "over", "revoked", "told", "short-lived"],
)
def test_other_keys_send_no_expiry_mail(olga: User, fields: dict[str, Any]) -> None:
    make_key(olga)
    make_old(**fields)
    tasks.warn_of_expiring_keys()
    assert not AuditEvent.objects.filter(action="key.expires").exists()


def test_keys_of_deleted_channels_and_short_lived_tokens_send_no_expiry_mail(channel: Channel, olga: User) -> None:
    make_robot(channel, olga)
    make_short_lived_token(make_publisher(channel))
    make_old()
    Channel.objects.update(deleted_at=timezone.now())
    tasks.warn_of_expiring_keys()
    assert not AuditEvent.objects.filter(action="key.expires").exists()


def test_schedule_has_the_job_for_expiring_keys() -> None:
    assert app.conf.beat_schedule["warn-of-expiring-keys"]["task"] == "channels_app.tasks.warn_of_expiring_keys"
