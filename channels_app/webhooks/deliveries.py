"""Delivery of queued events: in order, with back-off for a day, within limits of time and size.

Two jobs share the work, so that failing and slow receivers delay no others. In each, the first owners of channels take
turns: a user with many slow webhooks delays another user's delivery by one attempt. The delivery of a killed worker is
repeated: a receiver may get a message twice, with the same id.
"""

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils import timezone

from channels_app.models import DeliveryState, Member, Role, Webhook, WebhookDelivery
from channels_app.webhooks import queue, signing, webhooks
from hub import fetching
from hub.celery import wake
from hub.fetching import FetchError, PrivateAddressError
from hub.locks import try_lock
from hub.sizes import KIB

TIMEOUT_S = 10.0
SLOW_MS = 1000
ANSWER_MAX_BYTES = KIB
GONE = 410
# The pause after the first failure; it doubles with each further one.
RETRY_S = 60
RETRY_MAX_S = 4 * 3600
# Up to this share is added to each pause, so that webhooks of one receiver don't retry at once.
JITTER = 0.1
GIVE_UP_AFTER = timedelta(days=1)
SWITCH_OFF_AFTER = timedelta(days=3)
# A job ends after this time and enqueues another one, so that jobs of other kinds are not delayed.
JOB_S = 20.0
# The time of one webhook before the next one has its turn, and of all webhooks before the next query for due ones.
TURN_S = 5.0
WEBHOOKS_AT_ONCE = 20
OWNERS_REMEMBERED = 1000

NEEDS_PATIENCE = Q(failures__gt=0) | Q(is_slow=True)
# The first owner of a webhook's channel. A channel without one takes turns by itself.
OWNER = Coalesce(
    Subquery(
        Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER, user__isnull=False)
        .order_by("pk")
        .values("user")[:1]
    ),
    -1 * F("channel"),
    output_field=BigIntegerField(),
)
ORDER = (F("tried_at").asc(nulls_first=True), F("pk").asc())
# The ends of the owners' last turns in this process, by the monotonic clock.
_owners_turns: dict[int, float] = {}


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of an attempt: the answer's status and the beginning of its body, or an error."""

    duration_ms: int
    status: int | None = None
    body: str = ""
    error: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def deliver() -> None:
    """Deliver to the webhooks that answer fast."""
    _work(~NEEDS_PATIENCE, queue.WAKE_UP)


def retry() -> None:
    """Deliver to the webhooks that failed or are slow."""
    _work(NEEDS_PATIENCE, queue.RETRY)


def _work(share: Q, job: str) -> None:
    ends = time.monotonic() + JOB_S
    while time.monotonic() < ends:
        with try_lock(job) as is_locked:
            if not is_locked:
                return
            if job == queue.WAKE_UP:
                queue.queue_new_events()
            found = in_turn(due(share))[:WEBHOOKS_AT_ONCE]
            turns_end = time.monotonic() + TURN_S
            for webhook in found:
                with queue.postponed_on_error(webhook):
                    _deliver_some(webhook)
                _note_turn(webhook)
                if time.monotonic() > turns_end:
                    break
        if not found:
            return
    wake(job)


def due(share: Q) -> QuerySet[Any]:
    """Select the webhooks with deliveries that may be tried now, of each owner those that have waited longest.

    They have the `owner` and their `place` among the due webhooks of that owner.
    """
    pending = WebhookDelivery.objects.filter(webhook=OuterRef("pk"), state=DeliveryState.PENDING)
    ready = queue.active().filter(share, Exists(pending), due_at__lte=timezone.now())
    placed = ready.annotate(owner=OWNER, place=Window(RowNumber(), partition_by="owner", order_by=ORDER))
    return placed.filter(place__lte=WEBHOOKS_AT_ONCE).order_by(*ORDER)


def in_turn(webhooks: QuerySet[Any]) -> list[Any]:
    """Return the webhooks in turns of their owners, that owner first who has waited longest."""
    return sorted(webhooks, key=lambda webhook: (webhook.place, _owners_turns.get(webhook.owner, 0.0)))


def _note_turn(webhook: Any) -> None:
    if len(_owners_turns) >= OWNERS_REMEMBERED:
        _owners_turns.clear()
    _owners_turns[webhook.owner] = time.monotonic()


def _deliver_some(webhook: Webhook) -> None:
    """Deliver in order until the webhook's turn ends, or an attempt fails."""
    ends = time.monotonic() + TURN_S
    with try_lock(f"webhook-{webhook.pk}") as is_locked:
        while is_locked:
            current = queue.active().filter(pk=webhook.pk, due_at__lte=timezone.now()).select_related("channel").first()
            delivery = current and current.deliveries.filter(state=DeliveryState.PENDING).order_by("pk").first()
            if not current or not delivery:
                return
            _record(current, delivery, _attempt(current, delivery))
            if time.monotonic() > ends:
                return


def _attempt(webhook: Webhook, delivery: WebhookDelivery) -> Attempt:
    began = time.monotonic()
    body = delivery.body.encode()
    try:
        headers = signing.headers(
            signing.decrypt(webhook.encrypted_secret),
            message_id=delivery.message_id,
            timestamp_s=int(timezone.now().timestamp()),
            body=body,
        )
        answer = fetching.post(webhook.url, body, headers, max_bytes=ANSWER_MAX_BYTES, timeout_s=TIMEOUT_S)
    except PrivateAddressError:
        return Attempt(
            _since(began), error=f"{urlsplit(webhook.url).hostname} has a private address. Use a public one."
        )
    except FetchError as error:
        return Attempt(_since(began), error=str(error)[:500])
    except InvalidToken:
        return Attempt(_since(began), error="The secret is unreadable: SECRET_KEY has changed. Add a new webhook.")
    text = answer.body.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return Attempt(_since(began), answer.status, text)


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)


@transaction.atomic
def _record(webhook: Webhook, delivery: WebhookDelivery, attempt: Attempt) -> None:
    now = timezone.now()
    WebhookDelivery.objects.filter(pk=delivery.pk).update(
        state=DeliveryState.DELIVERED if attempt.is_success else DeliveryState.PENDING,
        attempts=F("attempts") + 1,
        tried_at=now,
        duration_ms=attempt.duration_ms,
        answer_status=attempt.status,
        answer_body=attempt.body,
        error=attempt.error,
    )
    values = {"tried_at": now, "is_slow": attempt.duration_ms > SLOW_MS}
    if attempt.is_success:
        Webhook.objects.filter(pk=webhook.pk).update(failures=0, failing_since=None, **values)
        return
    failing_since = webhook.failing_since or now
    due_at = now + _pause(webhook.failures)
    Webhook.objects.filter(pk=webhook.pk).update(
        failures=webhook.failures + 1, failing_since=failing_since, due_at=due_at, **values
    )
    if attempt.status == GONE:
        webhooks.switch_off(webhook, "The receiver answered 410 Gone: it wants no more events.")
    elif failing_since <= now - SWITCH_OFF_AFTER:
        webhooks.switch_off(webhook, f"Every delivery has failed for {SWITCH_OFF_AFTER.days} days.")
    else:
        _give_up_old(webhook)


def _pause(failures: int) -> timedelta:
    pause_s = min(RETRY_S * 2 ** min(failures, 16), RETRY_MAX_S)
    return timedelta(seconds=pause_s * (1 + random.uniform(0, JITTER)))  # noqa: S311  # nosec B311


def _give_up_old(webhook: Webhook) -> None:
    """Give up the deliveries that have waited for a day. The receiver's owner can send them again."""
    old = webhook.deliveries.filter(state=DeliveryState.PENDING, created_at__lt=timezone.now() - GIVE_UP_AFTER)
    old.update(state=DeliveryState.FAILED)
