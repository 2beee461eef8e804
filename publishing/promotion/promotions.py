"""Promotions: copies or moves of artifacts from one channel to another, all of them or none.

As for an upload, the names are reserved before the bytes are copied, and recorded after. The store copies the bytes
itself. A process holds a lock while it runs a promotion, so the schedule ends those whose process was killed.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import BoundedSemaphore
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import NO_CHANNEL, Actor
from channels_app.audit import log
from channels_app.models import Artifact, Channel
from channels_app.packages.queries import HEAVY, LISTED
from channels_app.quotas import channel_quotas, quotas
from hub.attempts import attempt_each
from hub.errors import HubError, conflict, unprocessable
from hub.http.request_body import slot_of
from hub.locks import try_lock
from hub.storage import StoreError
from publishing.labels import labels
from publishing.labels.names import checked
from publishing.models import PUBLISHED, PromotedFile, Promotion, PromotionState
from publishing.models import PromotedFileChange as Change
from publishing.promotion import copying, plan, records, reservations, rules
from publishing.promotion.plan import PlannedFile, Wanted
from publishing.removal import removal

logger = logging.getLogger(__name__)

# Of 32 threads per process: a small request can copy 500 files, while an upload has to send each of them.
COPYING = BoundedSemaphore(4)
# A promotion that was started longer ago and is not locked has lost its process.
ABANDONED_AFTER = timedelta(seconds=5)
# Of one requester in a channel, since each is a mail to all who may approve it.
WAITING_MAX = 20


@dataclass(frozen=True, slots=True)
class Started:
    """A promotion with reserved names and a charged quota."""

    promotion: Promotion
    wanted: Wanted
    bills: list[quotas.Bill]


def preview(*, wanted: Wanted, selection: QuerySet[Artifact]) -> list[PlannedFile]:
    """Return the plan of a promotion of the listed artifacts of `selection`."""
    checked(wanted.label)
    plan.check_rights(wanted)
    labels.check_room(wanted.target, [wanted.label])
    listed = selection.filter(LISTED, channel=wanted.source).select_related("channel", "package").defer(*HEAVY)
    found = list(listed.order_by("subdir", "file_name")[: removal.SELECTION_MAX + 1])
    removal.check_selection_size(found)
    if not found:
        raise unprocessable("nothing_selected", f"No file in the index of '{wanted.source}' matches. Select others.")
    return plan.with_patches_noted(wanted, plan.plan(wanted, found))


def promote(
    *, wanted: Wanted, selection: QuerySet[Artifact], reason: str = "", expected: str = "", may_wait: bool = True
) -> Promotion:
    """Promote the listed artifacts of `selection`. Raise the first refusal of a file; then none is promoted.

    If a second person has to approve it, it waits. If the process is killed, finish_abandoned() ends the promotion.
    Raise HubError 409 if `expected` is the fingerprint of another plan, or if it would wait without `may_wait`.
    """
    planned = preview(wanted=wanted, selection=selection)
    _raise_refusal(planned)
    if expected and plan.fingerprint(planned) != expected:
        raise conflict("selection_changed", "The files have changed since the preview; nothing was promoted.")
    if not wanted.is_move:  # unchanged files of a copy need no row, of which a request could ask for 500 at no cost
        planned = [each for each in planned if each.change != Change.UNCHANGED]
    rule = rules.rule_of(wanted.source, wanted.target)
    if planned and rule and rule.needs_approval:
        return _request(wanted, planned, reason, needs=rule.needs, may_wait=may_wait)
    with slot_of(COPYING, "copies"):
        with transaction.atomic():
            started = start(_create(wanted, planned, reason, PromotionState.RUNNING), wanted, planned)
        carry_out(started)
    return started.promotion


def carry_out(started: Started) -> None:
    """Run a promotion that has just started. Refund the quota if that fails.

    A promotion that could not be undone, either, as on a full disk, still runs: finish_abandoned() ends it.
    """
    try:
        run(started.promotion, started.wanted)
    except (HubError, StoreError, OperationalError) as error:
        started.promotion.refresh_from_db(fields=["state"])
        if started.promotion.state == PromotionState.RUNNING:
            logger.error("Promotion %s is completed or undone later: %s", started.promotion.pk, error)
            return
        for bill in started.bills:
            quotas.refund(bill)
        raise


def run(promotion: Promotion, wanted: Wanted) -> None:
    """Copy the bytes and record them, or undo both and raise the error. Return if another process runs it."""
    with try_lock(f"promotion-{promotion.pk}") as held:
        promotion.refresh_from_db()
        if not held or promotion.state != PromotionState.RUNNING:
            return
        try:
            files = list(promotion.files.filter(change__in=PUBLISHED))
            copying.copy_files(promotion, wanted.source, wanted.target, files)
            copying.put_sidecars(promotion, _sources(wanted.source, files))
            labels.ensure(actor=wanted.actor, channel=wanted.target, names=[wanted.label])
            _record(promotion, wanted)
        except Exception as error:
            if _undo(promotion, wanted, error) or promotion.state != PromotionState.DONE:
                raise


def finish_abandoned() -> None:
    """Complete the promotions of killed processes, or undo those that fail.

    A start that lies ahead is older than the last correction of the clock.
    """
    now = timezone.now()
    is_old = Q(started_at__lt=now - ABANDONED_AFTER) | Q(started_at__gt=now + ABANDONED_AFTER)
    running = Promotion.objects.filter(is_old, state=PromotionState.RUNNING)
    related = ("source", "target", "created_by", "created_with", "decided_by")
    attempt_each(partial(_finish, promotion) for promotion in running.select_related(*related))


def _finish(promotion: Promotion) -> None:
    with suppress(HubError, StoreError):  # then it is undone
        run(promotion, _wanted_again(promotion))


def lock_channels(promotion: Promotion) -> None:
    """Lock both channels until the transaction ends, so that two promotions can't deadlock."""
    both = [pk for pk in (promotion.source_id, promotion.target_id) if pk]
    list(Channel.objects.select_for_update(no_key=True).filter(pk__in=both).order_by("pk").values_list("pk"))


def end(promotion: Promotion, state: PromotionState, **values: Any) -> None:
    for name, value in {"state": state, "ended_at": timezone.now(), **values}.items():
        setattr(promotion, name, value)
    promotion.save(update_fields=["state", "ended_at", *values])


def _wanted_again(promotion: Promotion) -> Wanted:
    """Return the wanted promotion again, by its approver or else its requester."""
    actor = Actor(user=promotion.created_by, key=promotion.created_with)
    if promotion.decided_by:
        actor = Actor(user=promotion.decided_by)
    source = promotion.source or NO_CHANNEL
    return Wanted(actor, source, promotion.target, promotion.is_move, promotion.replaces, label=promotion.label)


def start(promotion: Promotion, wanted: Wanted, planned: Sequence[PlannedFile]) -> Started:
    """Reserve the names and charge the quotas, in the caller's transaction."""
    channel_quotas.lock(wanted.target)
    rule = rules.rule_of(wanted.source, wanted.target)
    promotion.state, promotion.started_at = PromotionState.RUNNING, timezone.now()
    promotion.keeps_attestations = rule is not None and rule.keeps_attestations
    promotion.save(update_fields=["state", "started_at", "keeps_attestations", "decided_by"])
    published = [each for each in planned if each.is_published]
    reservations.reserve(promotion, published)
    channel_quotas.check_reserved(wanted.target, sum(max(each.more_bytes, 0) for each in published))
    payer = quotas.payer_of(wanted.target)
    bills = [quotas.Bill(payer, each.more_bytes) for each in published] if payer else []
    for bill in bills:
        quotas.charge(bill)
    return Started(promotion, wanted, bills)


def plan_again(promotion: Promotion, wanted: Wanted, *, locked: bool = False) -> list[PlannedFile]:
    """Plan the files of the promotion anew, and store how they change the target.

    Raise HubError if one has changed or is refused.
    """
    files = list(promotion.files.all())
    sources = _sources(wanted.source, files)
    if len(sources) < len(files):
        raise conflict("changed_meanwhile", f"Files of '{wanted.source}' changed meanwhile. Promote them again.")
    planned = plan.plan(wanted, sources, locked=locked)
    _raise_refusal(planned)
    _store_changes(files, planned)
    return planned


def _store_changes(files: Sequence[PromotedFile], planned: Sequence[PlannedFile]) -> None:
    """Store how the files change the target now: it may have changed since the request."""
    changes = {(each.artifact.subdir, each.artifact.file_name): each.change for each in planned}
    stale = [file for file in files if file.change != changes[file.subdir, file.file_name]]
    for file in stale:
        file.change = changes[file.subdir, file.file_name] or ""
    PromotedFile.objects.bulk_update(stale, ["change"])


def _create(wanted: Wanted, planned: Sequence[PlannedFile], reason: str, state: PromotionState) -> Promotion:
    """Create the rows of a promotion and its files."""
    promotion = Promotion.objects.create(
        source=wanted.source,
        target=wanted.target,
        is_move=wanted.is_move,
        replaces=wanted.replaces,
        label=wanted.label,
        reason=reason,
        state=state,
        created_by=wanted.actor.user,
        created_with=wanted.actor.key,
    )
    PromotedFile.objects.bulk_create(
        PromotedFile(
            promotion=promotion,
            change=each.change or "",
            **{name: getattr(each.artifact, name) for name in ("subdir", "file_name", "sha256", "size_bytes")},
        )
        for each in planned
    )
    return promotion


@transaction.atomic
def _request(wanted: Wanted, planned: Sequence[PlannedFile], reason: str, *, needs: str, may_wait: bool) -> Promotion:
    """Create a promotion that waits, and notify its possible approvers."""
    if not may_wait:
        raise conflict(
            "approval_needed",
            f"A promotion from '{wanted.source}' to '{wanted.target}' waits for a second person. "
            "Request it on the page of the files, or by the REST API.",
        )
    mine = {"created_by": wanted.actor.user} if wanted.actor.user else {"created_with": wanted.actor.key}
    if wanted.target.promotions.filter(state=PromotionState.WAITING, **mine).count() >= WAITING_MAX:
        raise conflict(
            "waiting_limit", f"{WAITING_MAX} of your promotions to '{wanted.target}' wait already. Withdraw one."
        )
    promotion = _create(wanted, planned, reason, PromotionState.WAITING)
    detail = {"source": wanted.source.name, "promotion": promotion.pk, "needs": needs, "files": len(planned)}
    log.record(
        Action.PROMOTION_REQUEST,
        by=wanted.actor,
        channel=wanted.target,
        target=str(promotion.pk),
        detail=detail | ({"reason": reason} if reason else {}),
    )
    return promotion


@transaction.atomic
def _record(promotion: Promotion, wanted: Wanted) -> None:
    """Check everything again and record the artifacts. Raise HubError if a file or a right has changed meanwhile."""
    lock_channels(promotion)
    if not _lock_running(promotion):
        raise conflict("not_running", f"Promotion {promotion.pk} was ended by another process. Read its state.")
    plan.check_rights(wanted)
    planned = plan_again(promotion, wanted, locked=True)
    changed = [each for each in planned if each.change != Change.UNCHANGED]
    if changed:
        reservations.check(wanted.target, [each.artifact for each in changed if each.is_published])
        records.record(promotion, wanted, changed)
    if wanted.is_move:
        _remove_moved(wanted, [each.artifact for each in planned])
    reservations.held(promotion).delete()
    end(promotion, PromotionState.DONE)


def _remove_moved(wanted: Wanted, sources: Sequence[Artifact]) -> None:
    removal.change_selection(
        actor=wanted.actor,
        channel=wanted.source,
        selection=wanted.source.artifacts.filter(pk__in=[source.pk for source in sources]),
        change=removal.DELETE,
        # Readers of the source see the reason.
        reason="Moved to a private channel." if wanted.target.is_private else f"Moved to '{wanted.target}'.",
    )


@transaction.atomic
def _undo(promotion: Promotion, wanted: Wanted, error: Exception) -> bool:
    """Delete the copies, release the names, and record why the promotion failed.

    Return False if another process has ended it: a process that loses its connection to PostgreSQL loses its lock.
    """
    if not _lock_running(promotion):
        return False
    found = error.detail if isinstance(error, HubError) else str(error) or type(error).__name__
    mine = reservations.held(promotion)
    # An upload of the same bytes waits for these rows, and then tries again.
    reserved = {(row.subdir, row.file_name) for row in mine.filter(channel=promotion.target).select_for_update()}
    files = [file for file in promotion.files.all() if (file.subdir, file.file_name) in reserved]
    copying.remove_copies(promotion, _sources(wanted.source, files), files)
    mine.delete()
    quotas.mark_outdated(promotion.target)
    end(promotion, PromotionState.FAILED, failure=found[:500])
    return True


def _lock_running(promotion: Promotion) -> bool:
    """Lock the row of the promotion until the transaction ends. Return whether the promotion still runs."""
    promotion.refresh_from_db(fields=["state"], from_queryset=Promotion.objects.select_for_update(no_key=True))
    return promotion.state == PromotionState.RUNNING


def _sources(source: Channel, files: Sequence[PromotedFile]) -> list[Artifact]:
    """Return the listed artifacts of the source that still have the bytes of `files`."""
    sha256 = {(file.subdir, file.file_name): file.sha256 for file in files}
    within = Artifact.objects.filter(LISTED, channel=source, subdir__in={subdir for subdir, _ in sha256})
    found = within.filter(file_name__in={name for _, name in sha256}).select_related("channel", "package").defer(*HEAVY)
    return [each for each in found.order_by("pk") if sha256.get((each.subdir, each.file_name)) == each.sha256]


def _raise_refusal(planned: Sequence[PlannedFile]) -> None:
    for each in planned:
        if each.refusal:
            raise each.refusal
