"""Decisions on promotions that wait for a second person, where a rule of the channel says so."""

from contextlib import suppress
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, NO_CHANNEL, Actor
from channels_app.audit import log
from hub.errors import HubError, conflict, forbidden
from hub.http.request_body import slot_of
from publishing.models import Promotion, PromotionState
from publishing.promotion import plan, promotions
from publishing.promotion.plan import Wanted
from publishing.promotion.promotions import COPYING, Started

WAITS = timedelta(days=30)


def approve(*, actor: Actor, promotion: Promotion, may_restore: bool = True) -> Promotion:
    """Carry out a promotion that another user requested. Raise HubError 403 for keys, and for the requester.

    The approver needs the rights that the promotion needs.
    """
    _check_person(actor)
    with slot_of(COPYING, "copies"):
        started = _start(actor, promotion, may_restore=may_restore)
        promotions.carry_out(started)
    return promotion


@transaction.atomic
def refuse(*, actor: Actor, promotion: Promotion, reason: str = "") -> Promotion:
    """Refuse a waiting promotion as a second person, or withdraw one's own."""
    _lock_waiting(promotion)
    if not is_own(actor, promotion):
        check_may_decide(actor, promotion)
    promotions.end(promotion, PromotionState.REFUSED, failure=reason, decided_by=actor.user)
    _record(Action.PROMOTION_REFUSE, actor, promotion, reason)
    return promotion


def refuse_expired() -> None:
    """Refuse the promotions that have waited for 30 days."""
    for promotion in Promotion.objects.filter(state=PromotionState.WAITING, created_at__lt=timezone.now() - WAITS):
        with transaction.atomic(), suppress(HubError):
            _lock_waiting(promotion)
            failure = f"It was not approved within {WAITS.days} days."
            promotions.end(promotion, PromotionState.REFUSED, failure=failure)
            _record(Action.PROMOTION_REFUSE, Actor(), promotion, failure)


def may_decide(actor: Actor, promotion: Promotion) -> bool:
    """Tell whether `actor` may approve or refuse the promotion, which waits."""
    try:
        check_may_decide(actor, promotion)
    except HubError:
        return False
    return promotion.state == PromotionState.WAITING


def check_may_decide(actor: Actor, promotion: Promotion) -> None:
    """Raise HubError unless a signed-in user other than the requester has the rights that the promotion needs."""
    _check_person(actor)
    if is_own(actor, promotion):
        raise forbidden("second_person_needed", f"{actor} requested this promotion; a second person has to approve it.")
    plan.check_can_see(actor, promotion.source or NO_CHANNEL)
    plan.check_rights(_wanted(actor, promotion))


def _check_person(actor: Actor) -> None:
    if actor.user is None or actor.key or actor.token:
        raise forbidden("person_needed", "A promotion is approved or refused by a signed-in user, not by a key.")


def is_own(actor: Actor, promotion: Promotion) -> bool:
    """Tell whether the user or, without one, the key of `actor` requested the promotion."""
    if actor.user:
        return actor.user.pk == promotion.created_by_id
    return actor.key is not None and actor.key.pk == promotion.created_with_id


@transaction.atomic
def _start(actor: Actor, promotion: Promotion, *, may_restore: bool) -> Started:
    """Check the promotion as a new one, and start it."""
    _lock_waiting(promotion)
    check_may_decide(actor, promotion)
    _check_requester(promotion)
    wanted = _wanted(actor, promotion, may_restore=may_restore)
    planned = promotions.plan_again(promotion, wanted)
    promotion.decided_by = actor.user
    started = promotions.start(promotion, wanted, planned)
    _record(Action.PROMOTION_APPROVE, actor, promotion)
    return started


def _lock_waiting(promotion: Promotion) -> None:
    promotions.lock_channels(promotion)
    promotion.refresh_from_db(fields=["state"])
    if promotion.state != PromotionState.WAITING:
        raise conflict("not_waiting", f"Promotion {promotion.pk} is {promotion.get_state_display()}; it waits no more.")


def _check_requester(promotion: Promotion) -> None:
    """Raise HubError 409 if the requester, or the key, has lost a right that the promotion needs."""
    requester = Actor(user=promotion.created_by, key=promotion.created_with)
    if requester == ANONYMOUS:
        return
    try:
        plan.check_rights(_wanted(requester, promotion))
    except HubError as error:
        raise conflict(
            "requester_lost_rights", f"{requester}, who requested it, may no longer do this: {error.detail} Refuse it."
        ) from None


def _wanted(actor: Actor, promotion: Promotion, *, may_restore: bool = True) -> Wanted:
    source = promotion.source or NO_CHANNEL
    return Wanted(actor, source, promotion.target, promotion.is_move, promotion.replaces, may_restore, promotion.label)


def _record(action: Action, actor: Actor, promotion: Promotion, reason: str = "") -> None:
    detail = {"reason": reason} if reason else {}
    log.record(action, by=actor, channel=promotion.target, target=str(promotion.pk), detail=detail)
