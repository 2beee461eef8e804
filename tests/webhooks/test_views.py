"""Tests of the pages of webhooks."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from channels_app.access.permissions import Actor
from channels_app.models import Channel, DeliveryState, User, Webhook, WebhookDelivery
from channels_app.webhooks import webhooks
from tests.pages import signed_in
from tests.webhooks.receiver import make_webhook

pytestmark = pytest.mark.django_db

LIST = "/channels/demo/settings/webhooks"
NEW: dict[str, Any] = {"url": "https://ci.example.org/hook", "events": ["artifact.published"]}


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def test_new_webhook_shows_its_secret_in_one_response(owner: Client) -> None:
    answer = owner.post(LIST, NEW)
    [secret] = set(re.findall(r"whsec_[\w+/=]+", answer.content.decode()))
    assert len(secret) > 40
    assert "no-store" in answer.headers["Cache-Control"]
    for address in (LIST, f"{LIST}/{Webhook.objects.get().pk}"):
        page = owner.get(address).content.decode()
        assert "whsec_" not in page
        assert NEW["url"] in page


@pytest.mark.parametrize("change", [{"url": "http://ci.example.org/"}, {"events": []}, {"url": ""}])
def test_invalid_form_adds_no_webhook(owner: Client, change: dict[str, object]) -> None:
    answer = owner.post(LIST, NEW | change)
    assert answer.status_code == HTTPStatus.OK
    assert b"errorlist" in answer.content
    assert not Webhook.objects.exists()


def test_form_changes_the_webhook(owner: Client, channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    changed = {"action": "change", "url": "https://new.example.org/", "events": ["index.built", "member.changed"]}
    owner.post(f"{LIST}/{webhook.pk}", changed)
    webhook.refresh_from_db()
    assert (webhook.url, webhook.events) == ("https://new.example.org/", ["index.built", "member.changed"])


def test_buttons_switch_test_resend_and_remove(owner: Client, channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    address = f"{LIST}/{webhook.pk}"

    def press(action: str, **values: str) -> None:
        assert owner.post(address, {"action": action, **values}).status_code == HTTPStatus.FOUND

    press("test")
    delivery = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(state=DeliveryState.FAILED)
    press("resend", delivery=str(delivery.pk))
    press("resend", delivery="999")
    press("resend", delivery="x")
    assert WebhookDelivery.objects.filter(message_id=delivery.message_id).count() == 2
    press("off")
    press("test")
    assert not WebhookDelivery.objects.filter(state=DeliveryState.PENDING).exists()
    press("on")
    press("unknown")
    webhook.refresh_from_db()
    assert webhook.is_active
    assert b"Remove this webhook" in owner.get(f"{address}?remove").content
    press("remove")
    assert not Webhook.objects.exists()
    assert owner.get(address).status_code == HTTPStatus.NOT_FOUND


def test_page_escapes_the_answer_of_a_receiver(owner: Client, channel: Channel, olga: User) -> None:
    webhook, _ = make_webhook(channel, olga)
    webhooks.send_test(actor=Actor(user=olga), webhook=webhook)
    WebhookDelivery.objects.update(answer_body="<script>alert(1)</script>", error="<b>")
    page = owner.get(f"{LIST}/{webhook.pk}").content
    assert b"<script>alert" not in page
    assert b"&lt;script&gt;alert" in page


def test_number_of_queries_does_not_grow_with_the_lists(owner: Client, channel: Channel, olga: User) -> None:
    def count(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            owner.get(address)
        return len(queries)

    webhook, _ = make_webhook(channel, olga)
    webhooks.send_test(actor=Actor(user=olga), webhook=webhook)
    owner.get(LIST)
    before = [count(LIST), count(f"{LIST}/{webhook.pk}")]
    for number in range(3):
        make_webhook(channel, olga, f"https://ci.example.org/{number}")
        webhooks.send_test(actor=Actor(user=olga), webhook=webhook)
    assert [count(LIST), count(f"{LIST}/{webhook.pk}")] == before
