"""Tests of deliveries: signed, once, in order, with back-off; a bad receiver delays no other."""

import base64
import hashlib
import hmac
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db.models import Subquery
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log, notifications
from channels_app.models import AuditEvent, Channel, DeliveryState, Outgoing, Role, User, Webhook, WebhookDelivery
from channels_app.people import members
from channels_app.webhooks import deliveries, queue
from tests.builders import make_artifact, make_channel, make_member, make_user
from tests.serving import Serve, answering, dripping, serving
from tests.webhooks.receiver import Clock, Receiver, make_webhook, receiving

pytestmark = pytest.mark.django_db
GIB = 1024**3


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    with receiving(settings) as receiver:
        yield receiver


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def yank(channel: Channel, *names: str) -> None:
    """Record a yank of each file."""
    for name in names:
        log.record(Action.ARTIFACT_YANK, channel=channel, target=f"noarch/{name}-1.0-0.conda")


def files(receiver: Receiver) -> list[str]:
    return [message["data"]["file_name"].partition("-")[0] for message in receiver.messages]


def work() -> None:
    deliveries.deliver()
    deliveries.retry()


def test_unforeseen_error_of_one_webhook_delays_no_other(
    channel: Channel, olga: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, _ = make_webhook(channel, olga, receiver.url)
    make_webhook(channel, olga, f"{receiver.url}&second=1")
    attempt = deliveries._attempt

    def failing(webhook: Webhook, delivery: WebhookDelivery) -> deliveries.Attempt:
        if webhook == broken:
            raise ValueError("unforeseen")
        return attempt(webhook, delivery)

    monkeypatch.setattr(deliveries, "_attempt", failing)
    yank(channel, "pack")
    deliveries.deliver()
    assert files(receiver) == ["pack"]
    broken.refresh_from_db()
    assert broken.failures == 1
    assert broken.due_at > timezone.now()


def test_delivery_is_signed_as_standard_webhooks_say(channel: Channel, olga: User, receiver: Receiver) -> None:
    _, secret = make_webhook(channel, olga, receiver.url)
    yank(channel, "pack")
    deliveries.deliver()
    [(headers, body)] = receiver.received
    key = base64.b64decode(secret[len("whsec_") :])
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert headers["content-type"] == "application/json"
    assert "." not in headers["webhook-id"]
    assert 24 <= len(key) <= 64


def test_payload_describes_the_file(channel: Channel, olga: User, receiver: Receiver, settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    artifact = make_artifact(channel, "pack", "2.0", "h1_3")
    make_webhook(channel, olga, receiver.url)
    log.record(
        Action.ARTIFACT_YANK, channel=channel, target=f"demo/noarch/{artifact.file_name}", detail={"reason": "x"}
    )
    deliveries.deliver()
    [message] = receiver.messages
    assert set(message) == {"type", "timestamp", "data"}
    assert message["type"] == "artifact.yanked"
    assert message["data"] == {
        "channel": "demo",
        "subdir": "noarch",
        "file_name": "pack-2.0-h1_3.conda",
        "url": "https://hub.example.org/demo/noarch/pack-2.0-h1_3.conda",
        "name": "pack",
        "version": "2.0",
        "build": "h1_3",
        "build_number": 0,
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
    }


def test_payloads_of_members_and_publishers_have_no_names(channel: Channel, olga: User, receiver: Receiver) -> None:
    make_webhook(channel, olga, receiver.url, events=("member.changed", "publisher.changed"))
    log.record(Action.MEMBER_ADD, channel=channel, target="vic", detail={"role": "owner"})
    log.record(Action.PUBLISHER_ADD, channel=channel, target="octo-org/sample", detail={"fields": {"a": "b"}})
    deliveries.deliver()
    assert [message["data"] for message in receiver.messages] == [
        {"channel": "demo", "action": "member.add"},
        {"channel": "demo", "action": "publisher.add"},
    ]


def test_events_of_other_kinds_times_and_channels_are_not_sent(
    channel: Channel, olga: User, receiver: Receiver
) -> None:
    yank(channel, "earlier")
    AuditEvent.objects.update(created_at=timezone.now() - deliveries.GIVE_UP_AFTER)
    make_webhook(channel, olga, receiver.url)
    log.record(Action.ARTIFACT_DELETE, channel=channel, target="noarch/pack-1.0-0.conda")
    other = Channel.objects.create(name="other")
    yank(other, "pack")
    yank(channel, "mine")
    deliveries.deliver()
    assert files(receiver) == ["mine"]


def test_event_of_the_millisecond_of_its_webhook_is_sent(channel: Channel, olga: User, receiver: Receiver) -> None:
    make_webhook(channel, olga, receiver.url)
    yank(channel, "pack")
    Webhook.objects.update(
        events_since=Subquery(AuditEvent.objects.filter(action=Action.ARTIFACT_YANK).values("created_at"))
    )
    deliveries.deliver()
    assert files(receiver) == ["pack"]


def test_event_that_becomes_visible_late_is_sent_once(channel: Channel, olga: User, receiver: Receiver) -> None:
    webhook, _ = make_webhook(channel, olga, receiver.url)
    yank(channel, "late", "early")
    late = AuditEvent.objects.get(target__contains="late")
    AuditEvent.objects.filter(pk=late.pk).update(channel=None)
    deliveries.deliver()
    AuditEvent.objects.filter(pk=late.pk).update(channel=channel)
    deliveries.deliver()
    queue.queue_events(webhook)
    deliveries.deliver()
    assert files(receiver) == ["early", "late"]


def test_receiver_that_is_down_for_an_hour_gets_each_event_once_and_in_order(
    channel: Channel, olga: User, receiver: Receiver, clock: Clock
) -> None:
    make_webhook(channel, olga, receiver.url)
    receiver.status = 503
    expected = []
    for minute in range(60):
        expected.append(f"p{minute}")
        yank(channel, f"p{minute}")
        work()
        clock.forward(minutes=1)
    assert len(receiver.received) <= 7
    assert set(files(receiver)) == {"p0"}
    first_id, tried = receiver.ids[0], len(receiver.received)
    assert set(receiver.ids) == {first_id}
    receiver.status = 204
    for _ in range(90):
        work()
        clock.forward(minutes=1)
    assert files(receiver)[tried:] == expected
    assert len(set(receiver.ids)) == 60
    assert not WebhookDelivery.objects.exclude(state=DeliveryState.DELIVERED).exists()


def test_delivery_keeps_the_answer(channel: Channel, olga: User, receiver: Receiver) -> None:
    make_webhook(channel, olga, receiver.url)
    receiver.status, receiver.body = 500, b"\x00\xff" + b"x" * 5000
    yank(channel, "pack")
    work()
    delivery = WebhookDelivery.objects.get()
    assert (delivery.answer_status, delivery.attempts, delivery.error) == (500, 1, "")
    assert delivery.answer_body == "\ufffd\ufffd" + "x" * 1022
    assert delivery.duration_ms in range(5000)
    assert delivery.state == DeliveryState.PENDING


def test_delivery_is_given_up_after_a_day(channel: Channel, olga: User, receiver: Receiver, clock: Clock) -> None:
    make_webhook(channel, olga, receiver.url)
    receiver.status = 500
    yank(channel, "pack")
    for _ in range(30):
        work()
        clock.forward(hours=1)
    assert WebhookDelivery.objects.get().state == DeliveryState.FAILED
    assert 8 <= len(receiver.received) <= 16


def test_webhook_that_fails_for_days_is_switched_off_and_its_owners_are_notified(
    channel: Channel, olga: User, receiver: Receiver, clock: Clock
) -> None:
    webhook, _ = make_webhook(channel, olga, receiver.url)
    receiver.status = 500
    Outgoing.objects.all().delete()
    for _ in range(80):
        yank(channel, "pack")
        work()
        clock.forward(hours=1)
    webhook.refresh_from_db()
    assert not webhook.is_active
    [event] = AuditEvent.objects.filter(action=Action.WEBHOOK_SWITCH_OFF)
    assert Outgoing.objects.filter(task=notifications.TELL, args=[event.pk]).exists()
    assert not WebhookDelivery.objects.filter(state=DeliveryState.PENDING).exists()
    olga.email = "olga@example.org"
    olga.save()
    notifications.send(event.pk, olga.pk)
    sent = len(receiver.received)
    yank(channel, "later")
    work()
    assert len(receiver.received) == sent


def test_events_wait_while_many_deliveries_do_and_none_is_lost(
    channel: Channel, olga: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "WAITING_MAX", 2)
    monkeypatch.setattr(queue, "AT_ONCE", 1)
    webhook, _ = make_webhook(channel, olga, receiver.url)
    names = ["one", "two", "three", "four", "five"]
    yank(channel, *names)
    # As after a day of a slow receiver.
    monkeypatch.setattr(queue, "COMMIT_MAX", timedelta(0))
    queue.queue_events(webhook)
    assert webhook.deliveries.count() == 2
    while webhook.deliveries.filter(state=DeliveryState.PENDING).exists():
        work()
    assert files(receiver) == names


def test_webhook_of_a_removed_member_stays_until_it_is_removed(
    channel: Channel, olga: User, receiver: Receiver
) -> None:
    max_ = make_user("max")
    make_member(channel, max_, Role.MAINTAINER)
    make_webhook(channel, max_, receiver.url)
    members.remove(actor=Actor(user=olga), channel=channel, username="max")
    yank(channel, "pack")
    work()
    assert files(receiver) == ["pack"]


def test_receiver_that_answers_410_is_switched_off(channel: Channel, olga: User, receiver: Receiver) -> None:
    webhook, _ = make_webhook(channel, olga, receiver.url)
    receiver.status = 410
    yank(channel, "pack")
    work()
    webhook.refresh_from_db()
    assert not webhook.is_active


def test_redirect_to_a_private_address_is_not_followed(
    channel: Channel, olga: User, receiver: Receiver, settings: Settings
) -> None:
    with receiving(settings) as inner:
        settings.HUB_INTERNAL_HOSTS = [receiver.host, inner.host]
        receiver.status, receiver.headers = 307, {"Location": inner.url}
        make_webhook(channel, olga, receiver.url)
        yank(channel, "pack")
        work()
    assert inner.received == []
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.answer_status) == (DeliveryState.PENDING, 307)


@pytest.mark.parametrize("url", ["https://localhost/hook", "https://localhost:8000/"])
def test_private_address_is_neither_contacted_nor_shown(channel: Channel, olga: User, url: str) -> None:
    make_webhook(channel, olga, url)
    yank(channel, "pack")
    work()
    delivery = WebhookDelivery.objects.get()
    assert "private address" in delivery.error
    assert "127.0.0.1" not in delivery.error
    assert delivery.answer_status is None


def hang(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.recv(65536)


def flood(connection: socket.socket) -> None:
    """Send a gigabyte, or as much of it as the client takes."""
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
    chunk = bytes(1024**2)
    with suppress(OSError):
        for _ in range(1024):
            connection.sendall(chunk)


@pytest.mark.parametrize(
    ("serve", "state"),
    [
        pytest.param(hang, DeliveryState.PENDING, id="hangs"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n", b"x"), DeliveryState.PENDING, id="drips a header"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\nX-", b"x" * 65536), DeliveryState.PENDING, id="endless header"),
        pytest.param(answering(b"no HTTP at all\r\n\r\n"), DeliveryState.PENDING, id="no HTTP"),
        pytest.param(answering(b""), DeliveryState.PENDING, id="hangs up"),
        pytest.param(flood, DeliveryState.DELIVERED, id="sends 1 GiB"),
    ],
)
def test_bad_receiver_costs_little_time_and_memory(
    channel: Channel, olga: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, serve: Serve, state: str
) -> None:
    monkeypatch.setattr(deliveries, "TIMEOUT_S", 0.5)
    with serving(settings, serve) as host:
        make_webhook(channel, olga, f"http://{host}/")
        yank(channel, "pack")
        tracemalloc.start()
        began = time.monotonic()
        work()
        took_s, (_, peak_bytes) = time.monotonic() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert took_s < 10 * deliveries.TIMEOUT_S
    assert peak_bytes < 8 * 1024**2
    assert WebhookDelivery.objects.get().state == state


def test_failing_and_slow_webhooks_are_tried_by_a_job_of_their_own(
    channel: Channel, olga: User, receiver: Receiver
) -> None:
    webhook, _ = make_webhook(channel, olga, receiver.url)
    Webhook.objects.filter(pk=webhook.pk).update(is_slow=True)
    yank(channel, "pack")
    deliveries.deliver()
    assert receiver.received == []
    deliveries.retry()
    assert files(receiver) == ["pack"]
    webhook.refresh_from_db()
    assert not webhook.is_slow


def test_many_slow_webhooks_of_one_user_delay_another_user_by_one_attempt(
    channel: Channel, olga: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty new webhooks that did not answer delayed the deliveries of all other users by minutes."""
    eve = make_user("eve")
    for name in ("one", "two"):
        slow = make_channel(name, owner=eve)
        for number in range(10):
            make_webhook(slow, eve, f"{receiver.url}&slow={name}{number}")
        yank(slow, "slow")
    make_webhook(channel, olga, receiver.url)
    tried: list[str] = []

    def attempt(webhook: Webhook, _: WebhookDelivery) -> deliveries.Attempt:
        tried.append(webhook.channel.name)
        if len(tried) == 3:
            yank(channel, "pack")
        if webhook.channel == channel:
            return deliveries.Attempt(10, 200)
        time.sleep(0.02)
        return deliveries.Attempt(10_000, error="no answer")

    # Each turn is over after its first attempt.
    monkeypatch.setattr(deliveries, "TURN_S", 0.01)
    monkeypatch.setattr(deliveries, "JOB_S", 600)
    monkeypatch.setattr(deliveries, "_attempt", attempt)
    deliveries.deliver()
    assert len(tried) == 21
    assert tried.index("demo") == 3


def test_secret_of_an_unknown_secret_key_fails_the_delivery(
    channel: Channel, olga: User, receiver: Receiver, settings: Settings
) -> None:
    make_webhook(channel, olga, receiver.url)
    settings.SECRET_KEY = "another-key-of-the-hub-that-is-long-enough"
    yank(channel, "pack")
    work()
    assert receiver.received == []
    assert "SECRET_KEY" in WebhookDelivery.objects.get().error


def test_webhook_of_a_deleted_channel_gets_no_events(channel: Channel, olga: User, receiver: Receiver) -> None:
    make_webhook(channel, olga, receiver.url)
    yank(channel, "pack")
    Channel.objects.update(deleted_at=timezone.now())
    work()
    assert receiver.received == []


def test_old_deliveries_are_deleted_after_30_days(
    channel: Channel, olga: User, receiver: Receiver, clock: Clock
) -> None:
    make_webhook(channel, olga, receiver.url)
    yank(channel, "pack")
    work()
    clock.forward(days=29)
    assert queue.delete_old() == 0
    clock.forward(days=2)
    assert queue.delete_old() == 1
