"""Turns of users: many changed channels of one user delay another user's channel by at most one build."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from channels_app.models import Channel, User
from publishing.index import builds, turns
from publishing.models import SubdirIndex
from tests.builders import make_artifact, make_channel, make_user
from tests.index.test_turns import NOW, ago, ordered, turn

pytestmark = pytest.mark.django_db

OLGA, SAM = 1, 2


@pytest.fixture(autouse=True)
def nothing_built_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the users' last turns of this process."""
    monkeypatch.setattr(turns, "_owners_turns", {})


def test_order_channel_of_the_last_user_comes_after_another_users() -> None:
    sams = [turn(number, last_s=100 + number, owner_id=SAM) for number in range(2, 5)]
    just_built = turn(5, last_s=0, owner_id=SAM)
    assert ordered(*sams, just_built, turn(1, last_s=1, owner_id=OLGA)) == [1, 4, 3, 2, 5]


def test_order_of_one_users_channels_is_as_if_there_were_no_users() -> None:
    whole: dict[str, Any] = {"is_whole_channel": True, "turn_at": ago(50), "requested_at": ago(70)}
    found = [turn(1, last_s=3), turn(2, last_s=90), turn(3, last_s=1, **whole), turn(4, last_s=0, removes=True)]
    assert ordered(*(replace(each, owner_id=SAM) for each in found)) == ordered(*found)


@pytest.mark.parametrize("removes", [False, True])
def test_order_changes_in_all_channels_of_one_user_delay_anothers_by_one_build(removes: bool) -> None:
    """Each of Sam's twenty channels has a new change at its next turn. Before, Olga's channel waited for all."""
    now, went_first = NOW, False
    last = {number: ago(100 + number) for number in range(10, 30)}
    begun: list[int] = []
    olgas = turn(OLGA, last_s=5, owner_id=OLGA)
    while len(begun) < 40:
        sams = [
            turn(number, last_s=0, removes=removes, channel_turn_at=at, owner_id=SAM) for number, at in last.items()
        ]
        first = turns.in_order([*sams, olgas], now, removals_first=not went_first)[0]
        went_first = turns.has_priority(first, now)
        begun.append(first.index_id)
        if first == olgas:
            olgas = replace(olgas, channel_turn_at=now)
        else:
            last[first.index_id] = now
        turns._owners_turns[first.owner_id or 0] = now
        now += timedelta(seconds=0.5)
    places = [place for place, index_id in enumerate(begun) if index_id == OLGA]
    assert all(later - earlier == 2 for earlier, later in pairwise(places))
    assert len(places) == 20
    assert set(begun) == {OLGA, *last}


def test_stale_returns_first_owners_but_no_administrators(channel: Channel, olga: User, sam: User) -> None:
    make_artifact(channel)
    both = make_channel("both", owner=sam)
    both.members.create(user=olga, role="owner")
    make_artifact(both)
    make_artifact(make_channel("roots", owner=make_user("root", is_superuser=True)))
    make_artifact(make_channel("nobodys"))
    owners = {str(SubdirIndex.objects.get(pk=each.index_id).channel): each.owner_id for each in turns.stale()}
    assert owners == {"demo": olga.pk, "both": sam.pk, "roots": None, "nobodys": None}


def test_work_gives_each_user_a_turn(channel: Channel, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        make_artifact(make_channel(f"sams-{number}", owner=sam))
    make_artifact(channel)
    SubdirIndex.objects.filter(channel=channel).update(turn_at=NOW)
    SubdirIndex.objects.exclude(channel=channel).update(turn_at=ago(60))
    begun: list[str] = []
    original = builds.build

    def build(row: SubdirIndex, **options: Any) -> None:
        original(row, **options)
        if row.subdir:
            begun.append(row.channel.name)

    monkeypatch.setattr(builds, "build", build)
    turns.work()
    assert begun[1] == "demo"
    assert len(begun) == 5
