"""Tests of the API of webhooks: rights, secrets, validation, tests and repeated deliveries."""

from typing import Any

import pytest
from pytest_django import Settings

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import AuditEvent, Channel, DeliveryState, IdempotentReply, Role, User, Webhook
from channels_app.webhooks import deliveries, signing, webhooks
from hub.errors import HubError
from tests.builders import make_channel, make_member
from tests.rest.calls import by_key, by_session, code
from tests.webhooks.receiver import make_webhook, receiving

pytestmark = pytest.mark.django_db

NEW = {"url": "https://ci.example.org/hook", "events": ["index.built", "artifact.published"]}
PATH = "channels/demo/webhooks"


def test_webhook_is_added_and_its_secret_is_shown_once(channel: Channel, olga: User) -> None:
    answer = by_session(olga).post(PATH, NEW)
    assert answer.status_code == 201
    assert "no-store" in answer.headers["Cache-Control"]
    added = answer.json()
    webhook = Webhook.objects.get()
    assert answer.headers["Location"] == f"/api/v1/{PATH}/{webhook.pk}"
    secret = added.pop("secret")
    assert signing.decrypt(webhook.encrypted_secret) == secret
    assert secret not in webhook.encrypted_secret
    assert added["events"] == ["artifact.published", "index.built"]
    assert by_session(olga).get(f"{PATH}/{webhook.pk}").json() == added
    assert by_session(olga).get(PATH).json()["items"] == [added]
    assert AuditEvent.objects.get(action=Action.WEBHOOK_ADD).target == "ci.example.org"


def test_idempotency_key_stores_no_secret(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    assert caller.post(PATH, NEW, **{"Idempotency-Key": "a"}).status_code == 201
    assert not IdempotentReply.objects.exists()
    assert code(caller.post(PATH, NEW, **{"Idempotency-Key": "a"})) == (409, "webhook_exists")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"url": "http://ci.example.org/"}, "bad_url"),
        ({"url": "ftp://ci.example.org/"}, "bad_url"),
        ({"url": "https://"}, "bad_url"),
        ({"url": "https://[::1"}, "bad_url"),
        ({"url": "https://ci.example.org:99999/"}, "bad_url"),
        ({"url": "https://user:word@ci.example.org/"}, "bad_url"),
        ({"url": "https://ci.example.org/#a"}, "bad_url"),
        ({"url": "https://ci.example.org/ a"}, "bad_url"),
        ({"url": "https://ci.example.org/\r\nX: y"}, "bad_url"),
        ({"url": "https://ci.exämple.org/"}, "bad_url"),
        ({"events": []}, "bad_events"),
        ({"events": ["artifact.published", "key.create"]}, "bad_events"),
        ({"events": ["webhook.test"]}, "bad_events"),
    ],
)
def test_invalid_values_are_refused(channel: Channel, olga: User, change: dict[str, Any], expected: str) -> None:
    assert code(by_session(olga).post(PATH, NEW | change)) == (422, expected)
    webhook, _ = make_webhook(channel, olga, "https://other.example.org/")
    assert code(by_session(olga).patch(f"{PATH}/{webhook.pk}", change)) == (422, expected)


@pytest.mark.parametrize(
    ("kinds", "found"), [([], "no events"), (["index.built", "artifact.publishd"], "'artifact.publishd'")]
)
def test_refused_events_are_named(channel: Channel, olga: User, kinds: list[str], found: str) -> None:
    detail = by_session(olga).post(PATH, NEW | {"events": kinds}).json()["detail"]
    assert detail.startswith(f"Found {found}; expected one or more of: artifact.published, ")


def test_http_is_for_internal_hosts_only(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_INTERNAL_HOSTS = ["ci.internal:8080"]
    assert by_session(olga).post(PATH, NEW | {"url": "http://ci.internal:8080/hook"}).status_code == 201
    answer = by_session(olga).post(PATH, NEW | {"url": "http://ci.internal/hook"})
    assert code(answer) == (422, "bad_url")
    assert "http:// is only for hosts in HUB_INTERNAL_HOSTS" in answer.json()["detail"]


def test_channel_has_at_most_20_webhooks(channel: Channel, olga: User) -> None:
    for number in range(webhooks.WEBHOOKS_MAX):
        make_webhook(channel, olga, f"https://ci.example.org/{number}")
    assert code(by_session(olga).post(PATH, NEW)) == (403, "webhooks_limit")


def test_key_reads_tests_and_removes_but_neither_adds_nor_changes(channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    key = by_key(olga, "read", "manage")
    assert key.get(f"{PATH}/{webhook.pk}").status_code == 200
    assert key.post(f"{PATH}/{webhook.pk}/test").status_code == 202
    assert code(key.post(PATH, NEW | {"url": "https://evil.example.org/"})) == (403, "person_needed")
    assert code(key.patch(f"{PATH}/{webhook.pk}", {"is_active": False})) == (403, "person_needed")
    assert code(by_key(olga, "read", "upload").delete(f"{PATH}/{webhook.pk}")) == (403, "scope_missing")
    assert key.delete(f"{PATH}/{webhook.pk}").status_code == 204
    assert not Webhook.objects.exists()


def test_another_tenant_is_refused_everywhere(channel: Channel, olga: User, sam: User, max_: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    delivery = webhooks.send_test(actor=Actor(user=olga), webhook=webhook)
    make_channel("sams", owner=sam)
    make_member(channel, max_, Role.CONTRIBUTOR)
    places = [
        ("GET", ""),
        ("POST", ""),
        ("GET", f"/{webhook.pk}"),
        ("PATCH", f"/{webhook.pk}"),
        ("DELETE", f"/{webhook.pk}"),
        ("POST", f"/{webhook.pk}/test"),
        ("GET", f"/{webhook.pk}/deliveries"),
        ("POST", f"/{webhook.pk}/deliveries/{delivery.pk}/resend"),
    ]
    for method, place in places:
        body = NEW if method in ("POST", "PATCH") else None
        for caller in (by_session(sam), by_session(max_), by_key(sam, "read", "manage")):
            assert caller.call(method, f"{PATH}{place}", body).status_code == 403, (method, place)
        if place:
            of_own = by_session(sam).call(method, f"channels/sams/webhooks{place}", body)
            assert code(of_own) == (404, "no_such_webhook"), (method, place)
    assert Webhook.objects.get().deliveries.count() == 1


def test_delivery_of_another_webhook_is_not_found(channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    other, _ = make_webhook(channel, olga, "https://other.example.org/")
    delivery = webhooks.send_test(actor=Actor(user=olga), webhook=other)
    answer = by_session(olga).post(f"{PATH}/{webhook.pk}/deliveries/{delivery.pk}/resend")
    assert code(answer) == (404, "no_such_delivery")


def test_test_is_delivered_and_sent_again_with_the_same_id(channel: Channel, olga: User, settings: Settings) -> None:
    with receiving(settings) as receiver:
        webhook, _ = make_webhook(channel, olga, receiver.url)
        caller = by_session(olga)
        sent = caller.post(f"{PATH}/{webhook.pk}/test")
        assert (sent.status_code, sent.json()["state"]) == (202, "pending")
        deliveries.deliver()
        again = caller.post(f"{PATH}/{webhook.pk}/deliveries/{sent.json()['id']}/resend")
        assert again.json()["message_id"] == sent.json()["message_id"]
        deliveries.deliver()
    assert [message["type"] for message in receiver.messages] == ["webhook.test", "webhook.test"]
    assert len(set(receiver.ids)) == 1
    listed = caller.get(f"{PATH}/{webhook.pk}/deliveries").json()["items"]
    assert [(each["state"], each["answer_status"], each["answer_body"]) for each in listed] == [
        ("delivered", 200, "thanks")
    ] * 2


def test_tests_and_repeated_deliveries_are_limited(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"webhook-by-channel": 2}
    webhook, _ = make_webhook(channel, olga)
    caller = by_session(olga)
    sent = caller.post(f"{PATH}/{webhook.pk}/test").json()["id"]
    resend = f"{PATH}/{webhook.pk}/deliveries/{sent}/resend"
    assert caller.post(resend).status_code == 202
    assert code(caller.post(resend)) == (429, "too_many")
    assert code(caller.post(f"{PATH}/{webhook.pk}/test")) == (429, "too_many")


def test_resend_of_a_pending_delivery_tries_it_now(channel: Channel, olga: User, settings: Settings) -> None:
    with receiving(settings) as receiver:
        webhook, _ = make_webhook(channel, olga, receiver.url)
        delivery = webhooks.send_test(actor=Actor(user=olga), webhook=webhook)
        receiver.status = 500
        deliveries.deliver()
        receiver.status = 200
        deliveries.retry()
        assert len(receiver.received) == 1
        again = by_session(olga).post(f"{PATH}/{webhook.pk}/deliveries/{delivery.pk}/resend")
        assert again.json()["id"] == delivery.pk
        deliveries.retry()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)


def test_webhook_that_is_off_gets_no_events_until_it_is_on(channel: Channel, olga: User, settings: Settings) -> None:
    with receiving(settings) as receiver:
        webhook, _ = make_webhook(channel, olga, receiver.url)
        caller = by_session(olga)
        assert caller.patch(f"{PATH}/{webhook.pk}", {"is_active": False}).json()["is_active"] is False
        assert code(caller.post(f"{PATH}/{webhook.pk}/test")) == (409, "webhook_off")
        log.record(Action.ARTIFACT_YANK, channel=channel, target="noarch/off-1.0-0.conda")
        deliveries.deliver()
        caller.patch(f"{PATH}/{webhook.pk}", {"is_active": True})
        log.record(Action.ARTIFACT_YANK, channel=channel, target="noarch/on-1.0-0.conda")
        deliveries.deliver()
    assert [message["data"]["file_name"] for message in receiver.messages] == ["on-1.0-0.conda"]


def test_change_of_another_state_is_refused(channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    caller = by_session(olga)
    etag = caller.get(f"{PATH}/{webhook.pk}").headers["ETag"]
    changed = caller.patch(f"{PATH}/{webhook.pk}", {"events": ["index.built"]}, **{"If-Match": etag})
    assert changed.json()["events"] == ["index.built"]
    again = caller.patch(f"{PATH}/{webhook.pk}", {"events": ["member.changed"]}, **{"If-Match": etag})
    assert code(again) == (412, "changed_meanwhile")


def test_log_has_the_host_but_not_the_path_of_a_url(channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga, "https://chat.example.org/secret-token")
    actor = Actor(user=olga)
    webhooks.change(actor=actor, webhook=webhook, url="https://other.example.org/second-token")
    webhooks.remove(actor=actor, webhook=webhook)
    events = AuditEvent.objects.filter(action__startswith="webhook.")
    assert events.count() == 3
    assert "token" not in "".join(f"{event.target}{event.detail}" for event in events)


def test_secrets_are_encrypted_again_after_a_change_of_secret_key(
    channel: Channel, olga: User, settings: Settings
) -> None:
    webhook, secret = make_webhook(channel, olga)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "n" * 50, [settings.SECRET_KEY]
    assert signing.encrypt_all() == 0
    settings.SECRET_KEY_FALLBACKS = []
    webhook.refresh_from_db()
    assert signing.decrypt(webhook.encrypted_secret) == secret
    settings.SECRET_KEY = "m" * 50
    assert signing.encrypt_all() == 1


def test_viewer_adds_no_webhook_by_the_function(channel: Channel, max_: User) -> None:
    make_member(channel, max_)
    with pytest.raises(HubError) as refused:
        make_webhook(channel, max_)
    assert refused.value.status == 403
