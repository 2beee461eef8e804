"""Names of a virtual channel that change while its members are built and its rules are saved."""

from functools import partial
from pathlib import Path

import pytest

from channels_app.models import Channel, User
from publishing.index import builds, virtual_names
from publishing.virtual.virtual import RuleText
from tests.builders import make_artifact, make_channel
from tests.threads import at_once, shared_database
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


def build_virtual(channel: Channel) -> None:
    for index in channel.indexes.exclude(subdir=""):
        builds.build_until_current(index.pk)


def is_as_planned(virtual: Channel) -> bool:
    return virtual_names.brought(virtual) == virtual_names.of(virtual).owners()
