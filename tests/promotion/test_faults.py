"""Promotions beside other acts and faults: each ends or is undone, and the index names only files that are there."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.channels import channels
from channels_app.models import AuditEvent, Channel, Role, User
from hub.storage import StoreError, store
from publishing.models import Promotion, PromotionState, Reservation
from publishing.promotion import approvals, copying, promotions, records, rollback, rules
from publishing.promotion.plan import Wanted
from tests.builders import make_member
from tests.promotion.calls import promote, refusal
from tests.rest.calls import by_key
from tests.sample_channel import build_index, found
from tests.threads import at_once, shared_database

ALL = {"file_pattern": "*"}
Meanwhile = Callable[[Callable[[], object]], None]


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Return a function that makes an act happen once, when the next promotion has copied its bytes."""
    copy_files = copying.copy_files

    def arrange(act: Callable[[], object]) -> None:
        def copy_then_act(*arguments: Any) -> None:
            monkeypatch.setattr(copying, "copy_files", copy_files)
            copy_files(*arguments)
            act()

        monkeypatch.setattr(copying, "copy_files", copy_then_act)

    return arrange


def as_if_abandoned() -> None:
    Promotion.objects.update(started_at=timezone.now() - 2 * promotions.ABANDONED_AFTER)


def is_whole(channel: Channel) -> bool:
    """Tell whether the index of the channel agrees with its rows and their bytes."""
    build_index(channel)
    return found(channel, is_hashed=True) == []


@pytest.mark.django_db
def test_promotion_that_another_process_completed_is_not_undone(
    staging: Channel, channel: Channel, olga: User, meanwhile: Meanwhile
) -> None:
    def complete_and_fail() -> None:
        promotions._record(Promotion.objects.get(), Wanted(Actor(user=olga), staging, channel))
        raise StoreError("This process lost its lock, and its store.")

    meanwhile(complete_and_fail)
    assert promote(staging, channel, olga).state == PromotionState.DONE
    assert channel.artifacts.count() == 3
    assert is_whole(channel)


@pytest.mark.django_db
def test_promotion_that_another_process_undid_is_not_recorded(
    staging: Channel, channel: Channel, olga: User, meanwhile: Meanwhile
) -> None:
    def undo() -> None:
        promotions._undo(Promotion.objects.get(), Wanted(Actor(user=olga), staging, channel), StoreError("down"))

    meanwhile(undo)
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "not_running")
    assert Promotion.objects.get().state == PromotionState.FAILED
    assert not channel.artifacts.exists()
    assert is_whole(channel)


@pytest.mark.django_db
def test_promotion_that_began_before_the_clock_was_set_back_is_completed(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(promotions, "run", lambda *_: None)
        promote(staging, channel, olga)
    Promotion.objects.update(started_at=timezone.now() + timedelta(days=400))
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == PromotionState.DONE
    assert is_whole(channel)


@pytest.mark.django_db
def test_promotion_that_can_be_neither_completed_nor_undone_delays_no_other(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = promotions.run
    monkeypatch.setattr(promotions, "run", lambda *_: None)
    first = promote(staging, channel, olga, {"package__name": "lib"})
    second = promote(staging, channel, olga, {"package__name": "tool"})

    def fail_first(promotion: Promotion, wanted: Wanted) -> None:
        if promotion == first:
            raise OperationalError("the connection is closed")
        run(promotion, wanted)

    monkeypatch.setattr(promotions, "run", fail_first)
    as_if_abandoned()
    with pytest.raises(OperationalError):
        promotions.finish_abandoned()
    states = dict(Promotion.objects.values_list("pk", "state"))
    assert states == {first.pk: PromotionState.RUNNING, second.pk: PromotionState.DONE}


@pytest.mark.django_db
@pytest.mark.parametrize("fault", [OperationalError("database or disk is full"), StoreError("down")], ids=repr)
def test_promotion_that_can_not_be_undone_at_once_is_completed_later(
    staging: Channel,
    channel: Channel,
    olga: User,
    meanwhile: Meanwhile,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    def fail(*_: Any) -> None:
        raise fault

    with monkeypatch.context() as patched:
        meanwhile(fail)
        patched.setattr(promotions, "_undo", fail)
        answer = by_key(olga, "read", "upload").post("channels/demo/promotions", {"from": "staging", "filter": ALL})
    assert (answer.status_code, answer.json()["state"]) == (202, PromotionState.RUNNING)
    as_if_abandoned()
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == PromotionState.DONE
    assert not Reservation.objects.exists()
    assert is_whole(channel)


@pytest.mark.django_db
@pytest.mark.parametrize("gone", ["source", "target"])
def test_channel_that_is_deleted_meanwhile_undoes_the_promotion(
    staging: Channel, channel: Channel, olga: User, meanwhile: Meanwhile, gone: str
) -> None:
    deleted = {"source": staging, "target": channel}[gone]
    meanwhile(lambda: channels.delete(actor=Actor(user=olga), channel=deleted))
    status, _ = refusal(lambda: promote(staging, channel, olga))
    assert status in (403, 404)
    assert Promotion.objects.get().state == PromotionState.FAILED
    assert not channel.artifacts.exists()
    assert [key for key in store().list("demo/") if key.endswith(".conda")] == []
    assert not Reservation.objects.exists()


@pytest.mark.django_db
def test_abandoned_promotion_from_a_purged_channel_is_undone(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(promotions, "run", lambda *_: None)
        promote(staging, channel, olga)
    staging.delete()
    as_if_abandoned()
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == PromotionState.FAILED
    assert not Reservation.objects.exists()
    assert is_whole(channel)


@pytest.mark.django_db
def test_promotion_that_runs_is_neither_rolled_back_nor_approved(
    staging: Channel, channel: Channel, olga: User, meanwhile: Meanwhile
) -> None:
    refused: list[tuple[int, str]] = []

    def try_all() -> None:
        given: dict[str, Any] = {"actor": Actor(user=olga), "promotion": Promotion.objects.get()}
        acts = (rollback.roll_back, approvals.approve, approvals.refuse)
        refused.extend(refusal(partial(act, **given)) for act in acts)

    meanwhile(try_all)
    assert promote(staging, channel, olga).state == PromotionState.DONE
    assert refused == [(409, "not_done"), (409, "not_waiting"), (409, "not_waiting")]


@pytest.mark.django_db
def test_quota_that_is_lowered_meanwhile_holds_for_the_next_promotion(
    staging: Channel, channel: Channel, olga: User, meanwhile: Meanwhile
) -> None:
    meanwhile(lambda: Channel.objects.filter(pk=channel.pk).update(quota_bytes=1))
    assert promote(staging, channel, olga, {"package__name": "lib"}).state == PromotionState.DONE
    channel.refresh_from_db()
    assert refusal(lambda: promote(staging, channel, olga)) == (413, "channel_quota")
    assert is_whole(channel)


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connection to lose")
@pytest.mark.parametrize(
    ("place", "ended"),
    # Within a transaction, Django opens a new connection, by which the promotion is undone.
    [((copying, "put_sidecars"), PromotionState.DONE), ((records, "_link_files"), PromotionState.FAILED)],
)
def test_promotion_that_loses_its_connection_is_completed_or_undone(
    staging: Channel,
    channel: Channel,
    olga: User,
    place: tuple[Any, str],
    ended: PromotionState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(*place, lambda *_: connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())"))
        with pytest.raises((OperationalError, InterfaceError)):
            promote(staging, channel, olga)
    connection.close()
    assert not channel.artifacts.exists()
    as_if_abandoned()
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == ended
    assert channel.artifacts.exists() == (ended == PromotionState.DONE)
    assert is_whole(channel)


@pytest.mark.django_db(transaction=True)
def test_promotion_that_several_workers_find_is_done_once(
    staging: Channel, channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(promotions, "run", lambda *_: None)
        promote(staging, channel, olga)
    as_if_abandoned()

    def stored() -> tuple[list[str], int, int]:
        states = list(Promotion.objects.values_list("state", flat=True))
        return states, channel.artifacts.count(), AuditEvent.objects.filter(action="artifact.promote").count()

    with shared_database(tmp_path):
        at_once(*[promotions.finish_abandoned] * 4)
        [after] = at_once(stored)
    assert after == ([PromotionState.DONE], 3, 3)


@pytest.mark.django_db(transaction=True)
def test_files_that_two_people_promote_at_once_are_published_once(
    staging: Channel, channel: Channel, olga: User, sam: User, tmp_path: Path
) -> None:
    for place in (staging, channel):
        make_member(place, sam, Role.OWNER)

    def state(by: User) -> str:
        return str(promote(staging, channel, by).state)

    def stored() -> tuple[int, int, int]:
        events = AuditEvent.objects.filter(action="artifact.promote").count()
        return channel.artifacts.count(), events, Reservation.objects.count()

    with shared_database(tmp_path):
        states = at_once(partial(state, olga), partial(state, sam))
        [after] = at_once(stored)
        [is_agreed] = at_once(partial(is_whole, channel))
    assert ("done" in states, after, is_agreed) == (True, (3, 3, 0), True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["approve", "refuse", "roll_back"])
def test_promotion_that_two_people_decide_at_once_is_decided_once(
    staging: Channel, channel: Channel, olga: User, sam: User, max_: User, tmp_path: Path, act: str
) -> None:
    for member in (sam, max_):
        make_member(staging, member, Role.OWNER)
        make_member(channel, member, Role.OWNER)
    if act != "roll_back":
        rules.save(actor=Actor(user=olga), channel=channel, source="*", needs="upload", needs_approval=True)
    promotion = promote(staging, channel, olga)
    acts: dict[str, Callable[..., Promotion]] = {
        "approve": approvals.approve,
        "refuse": approvals.refuse,
        "roll_back": rollback.roll_back,
    }

    def decide(by: User) -> str:
        decided = acts[act](actor=Actor(user=by), promotion=Promotion.objects.get(pk=promotion.pk))
        return str(decided.state)

    with shared_database(tmp_path):
        answers = at_once(partial(decide, sam), partial(decide, max_))
    ended = {"approve": "done", "refuse": "refused", "roll_back": "rolled_back"}[act]
    assert sorted(map(str, answers)) == sorted([ended, "not_done" if act == "roll_back" else "not_waiting"])
