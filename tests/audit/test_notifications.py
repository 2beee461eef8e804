"""Tests of mails about trusted publishers: recipients, text, and a mail server that is down."""

from typing import Any

import pytest
from django.core import mail
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app import tasks
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log, notifications, outbox
from channels_app.models import AuditEvent, Channel, Outgoing, Role, User
from publishing.id_tokens.claims import BadToken
from publishing.id_tokens.providers import PROVIDERS
from publishing.trusted import publishers
from tests.builders import make_issuer, make_member, make_publisher, make_user
from tests.id_tokens.builders import github_claims

pytestmark = pytest.mark.django_db

PUBLISHERS = "https://hub.example.org/channels/demo/settings/publishers"


@pytest.fixture(autouse=True)
def address(settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"


@pytest.fixture(autouse=True)
def owners(channel: Channel, olga: User) -> None:
    """Make Olga and Jo owners with addresses.

    The others have no address, are deactivated, or are not owners.
    """
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    for name, role, fields in (
        ("jo", Role.OWNER, {"email": "jo@example.org"}),
        ("ann", Role.OWNER, {}),
        ("eve", Role.OWNER, {"email": "eve@example.org", "is_active": False}),
        ("tom", Role.MAINTAINER, {"email": "tom@example.org"}),
    ):
        make_member(channel, make_user(name, **fields), role)


def sent(sent_jobs: list[tuple[object, ...]]) -> list[Any]:
    """Run the worker's job and return the sent mails."""
    assert set(sent_jobs) == {(outbox.WAKE_UP,)}
    tasks.tell_waiting()
    return mail.outbox


def test_new_publisher_is_mailed_to_the_owners(
    channel: Channel,
    olga: User,
    sent_jobs: list[tuple[object, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    fields = PROVIDERS["github"].clean({"repository": "octo-org/sample", "workflow": "release.yml"})
    with django_capture_on_commit_callbacks(execute=True):
        publishers.add(actor=Actor(user=olga), channel=channel, issuer=make_issuer(), fields=fields)
    first, second = sent(sent_jobs)
    assert (first.to, second.to) == (["olga@example.org"], ["jo@example.org"])
    assert first.subject == "GitHub Actions: octo-org/sample is now a trusted publisher of demo"
    assert "olga added a trusted publisher to demo on https://hub.example.org:" in first.body
    assert "    repository: octo-org/sample\n    workflow: release.yml\n\n" in first.body
    assert PUBLISHERS in first.body
    assert "environment" not in first.body


def body_of(event: AuditEvent) -> str:
    notifications.send(event.pk, notifications.recipients(event.pk)[0])
    return str(mail.outbox[-1].body)


def latest() -> AuditEvent:
    return AuditEvent.objects.order_by("-pk")[0]


def test_removal_of_a_publisher_is_mailed_to_the_owners(channel: Channel, olga: User) -> None:
    publishers.remove(actor=Actor(user=olga), publisher=make_publisher(channel))
    assert "olga removed a trusted publisher of demo on https://hub.example.org:" in body_of(latest())
    assert mail.outbox[-1].subject == "GitHub Actions: octo-org/sample is no longer a trusted publisher of demo"


def test_first_use_of_a_publisher_is_mailed_once(channel: Channel) -> None:
    publisher = make_publisher(channel)
    publishers.settle(publisher, github_claims())
    publishers.settle(publisher, github_claims())
    assert AuditEvent.objects.count() == 1
    body = body_of(latest())
    assert f"    repository_id: {github_claims()['repository_id']}\n" in body
    assert f"{PUBLISHERS}\n    https://hub.example.org/channels/demo/settings/activity\n" in body


def test_resurrected_account_is_mailed_once_a_day(channel: Channel) -> None:
    publisher = make_publisher(channel, make_issuer(), pins={"repository_id": "1"})
    for _ in range(2):
        with pytest.raises(BadToken):
            publishers.matching(publisher.issuer, github_claims())
    assert AuditEvent.objects.count() == 1
    expected = f"Its stable id is {github_claims()['repository_id']}; expected 1."
    assert expected in body_of(latest())
    assert mail.outbox[-1].subject == "GitHub Actions: octo-org/sample was refused in demo"


def test_pending_publisher_is_mailed_to_its_creator(sam: User) -> None:
    User.objects.filter(pk=sam.pk).update(email="sam@example.org")
    fields = PROVIDERS["google"].clean({"email": "ci@example.org"})
    publishers.add_pending(user=sam, channel_name="next-lab", issuer=make_issuer("google"), fields=fields)
    body = body_of(latest())
    assert mail.outbox[-1].to == ["sam@example.org"]
    assert "sam added a trusted publisher to next-lab on" in body
    assert "https://hub.example.org/channels/new/publisher" in body


def test_names_are_not_escaped_and_stay_in_their_line(channel: Channel, olga: User) -> None:
    event = log.record(
        Action.PUBLISHER_REMOVE, target="a\n<b>&", by=Actor(user=olga), channel=channel, detail={"fields": {}}
    )
    assert "a\n<b>&" in body_of(event)
    assert mail.outbox[-1].subject == "a <b>& is no longer a trusted publisher of demo"


def test_other_events_are_no_mails(
    channel: Channel,
    olga: User,
    sent_jobs: list[tuple[object, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        log.record(Action.ARTIFACT_YANK, target="demo", by=Actor(user=olga), channel=channel)
    assert sent_jobs == []
    assert not Outgoing.objects.exists()


def test_deleted_object_sends_no_mail(channel: Channel, olga: User) -> None:
    event = log.record(Action.PUBLISHER_REMOVE, target="a", by=Actor(user=olga), channel=channel, detail={"fields": {}})
    Outgoing.objects.all().delete()
    tasks.tell(0)
    tasks.send_mail(event.pk, 0)
    tasks.send_mail(0, olga.pk)
    tasks.tell_waiting()
    assert (Outgoing.objects.count(), mail.outbox) == (0, [])


def test_every_mail_has_its_text_and_every_text_its_mail(settings: Settings) -> None:
    folder = settings.BASE_DIR / "templates" / "mail"
    assert {path.stem for path in folder.glob("*.txt")} == {each.template for each in notifications.MAILS.values()} | {
        "invitation"
    }
