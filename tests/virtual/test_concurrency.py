"""Names of a virtual channel that change while its members are built and its rules are saved."""

import threading
from functools import partial
from pathlib import Path

import pytest
from django.db import connection, transaction

from channels_app.models import Channel, User
from publishing.index import builds, virtual_names, virtual_waits
from publishing.virtual.virtual import RuleText
from tests.builders import make_artifact, make_channel
from tests.sample_channel import found
from tests.threads import START_S, at_once, shared_database
from tests.virtual.channels import build_all, file_names, make_virtual, set_members

pytestmark = pytest.mark.django_db(transaction=True)
TRIES = 8


def build(channel: Channel) -> None:
    builds.build_until_current(channel.indexes.get(subdir="noarch").pk)


def test_names_are_those_of_the_plan_after_builds_and_changes_at_once(olga: User, tmp_path: Path) -> None:
    first, second = (make_channel(name, owner=olga, is_private=False) for name in ("first", "second"))
    virtual = make_virtual(olga, "first", "second")
    with shared_database(tmp_path):
        for number in range(TRIES):
            for member in (first, second):
                at_once(partial(make_artifact, member, f"name{number}", build=member.name))
            order = ("second", "first") if number % 2 else ("first", "second")
            rules = (RuleText(f"name{number // 2}", "never_from", "first"),)
            results = at_once(
                partial(build, first),
                partial(build, second),
                partial(set_members, olga, virtual, *order, rules=rules),
                partial(build_virtual, virtual),
            )
            assert results == [None] * len(results)
        at_once(build_all)
        assert at_once(partial(is_as_planned, virtual)) == [True]
        assert len(file_names("all")) == TRIES


def test_build_of_a_member_waits_for_no_virtual_channel(olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    member = make_channel("member", owner=olga, is_private=False)
    virtual = make_virtual(olga, "member")
    for number, is_free in enumerate((False, True)):
        with monkeypatch.context() as patch:
            if is_free:
                patch.setattr(virtual_waits, "NOTE_S", -1)
            else:
                patch.setattr(virtual_names, "try_lock", lambda _: False)
            for build_number in range(2):
                make_artifact(member, f"name{number}{build_number}")
                build(member)
            assert virtual.waiting_builds.count() == 1
            builds.note_members()
            assert not virtual.virtual_names.filter(name__startswith=f"name{number}").exists()
            assert found(virtual) == []
        build_all()
        assert virtual.virtual_names.filter(name__startswith=f"name{number}").count() == 2
        assert not virtual.waiting_builds.exists()
    assert len(file_names("all")) == 4
    assert found(virtual) == []


def test_build_of_a_member_ends_while_the_virtual_channel_is_locked(olga: User, tmp_path: Path) -> None:
    member = make_channel("member", owner=olga, is_private=False)
    virtual = make_virtual(olga, "member")
    make_artifact(member, "tool")
    is_built = threading.Event()

    def change_until_the_build_ends() -> None:
        with transaction.atomic():
            virtual_names.lock(virtual)
            assert is_built.wait(START_S)

    def build_the_member() -> None:
        build(member)
        is_built.set()

    if connection.vendor == "postgresql":
        at_once(change_until_the_build_ends, build_the_member)
    else:
        build_the_member()
    build_all()
    assert file_names("all") == ["tool-1.0-0.conda"]


def build_virtual(channel: Channel) -> None:
    for index in channel.indexes.exclude(subdir=""):
        builds.build_until_current(index.pk)


def is_as_planned(virtual: Channel) -> bool:
    return virtual_names.brought(virtual) == virtual_names.of(virtual).owners()
