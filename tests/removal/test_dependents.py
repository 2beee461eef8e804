"""Packages that lose a dependency by a removal."""

from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import api_keys
from channels_app.models import Artifact, Channel, Package, Removal, User
from channels_app.packages import packages
from publishing.removal import dependents
from tests.builders import make_artifact, make_channel, make_key, make_robot

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(olga: User) -> Actor:
    return Actor(user=olga)


def make_user_of(channel: Channel, name: str, *depends: str, version: str = "1.0", **fields: Any) -> Artifact:
    artifact = make_artifact(channel, name, version, index_json={"depends": list(depends)}, **fields)
    packages.refresh(artifact.package)
    return artifact


def broken(actor: Actor, *removed: Artifact) -> dict[str, dict[str, list[str]]]:
    """Return channel/name → spec → subdirs."""
    found = dependents.of_removal(actor, removed[0].channel, removed)
    assert found.is_complete
    return {
        str(dependent.package): {spec: sorted(subdirs) for spec, subdirs in dependent.lost.items()}
        for dependent in found.broken
    }


def kept(actor: Actor, *removed: Artifact) -> int:
    return dependents.of_removal(actor, removed[0].channel, removed).kept


def test_removal_of_the_last_file_breaks_each_package_that_needs_the_name(channel: Channel, owner: Actor) -> None:
    file = make_artifact(channel, "strata")
    make_user_of(channel, "any", "strata")
    make_user_of(channel, "new", "strata >=1.0", "python")
    make_user_of(channel, "apart", "python")
    assert broken(owner, file) == {"demo/any": {"strata": ["noarch"]}, "demo/new": {"strata >=1.0": ["noarch"]}}
    assert kept(owner, file) == 0


def test_other_files_that_satisfy_the_spec_keep_a_package(channel: Channel, owner: Actor) -> None:
    old, new = make_artifact(channel, "strata", "1.0"), make_artifact(channel, "strata", "2.0")
    make_user_of(channel, "any", "strata")
    make_user_of(channel, "pinned", "strata >=2")
    assert broken(owner, new) == {"demo/pinned": {"strata >=2": ["noarch"]}}
    assert kept(owner, new) == 1
    assert broken(owner, old) == {}
    assert kept(owner, old) == 2


@pytest.mark.parametrize("spec", ["strata 9.*", "strata 1.0 b", "strata 1.0.* 0|1 *"])
def test_spec_that_no_removed_file_satisfies_is_not_lost(channel: Channel, owner: Actor, spec: str) -> None:
    file = make_artifact(channel, "strata")
    make_user_of(channel, "other", spec)
    assert broken(owner, file) == {}


@pytest.mark.parametrize("state", [{"removal": Removal.YANKED}, {"quarantine_reason": "odd"}, {"is_main": False}])
def test_files_outside_the_index_satisfy_no_spec(channel: Channel, owner: Actor, state: dict[str, Any]) -> None:
    file = make_artifact(channel, "strata")
    out = make_artifact(channel, "strata", "1.1", **state)
    make_user_of(channel, "any", "strata")
    assert broken(owner, file) == {"demo/any": {"strata": ["noarch"]}}
    assert broken(owner, out) == {}


def test_dependency_is_lost_on_the_subdirs_without_another_file(channel: Channel, owner: Actor) -> None:
    linux = make_artifact(channel, "strata", subdir="linux-64")
    windows = make_artifact(channel, "strata", subdir="win-64", build="w")
    make_artifact(channel, "strata", subdir="osx-64", build="o")
    make_user_of(channel, "pure", "strata")
    make_user_of(channel, "native", "strata", subdir="win-64")
    both = {"demo/pure": {"strata": ["linux-64", "win-64"]}, "demo/native": {"strata": ["win-64"]}}
    assert broken(owner, linux, windows) == both
    assert broken(owner, linux) == {"demo/pure": {"strata": ["linux-64"]}}
    noarch = make_artifact(channel, "strata", build="n")
    assert broken(owner, linux, windows) == {}
    assert broken(owner, linux, noarch) == {"demo/pure": {"strata": ["linux-64", "noarch"]}}


def test_packages_that_are_removed_too_are_not_named(channel: Channel, owner: Actor) -> None:
    file = make_artifact(channel, "strata")
    tools = make_user_of(channel, "strata-tools", "strata ==1.0")
    assert broken(owner, file, tools) == {}


def test_older_versions_of_dependents_are_not_checked(channel: Channel, owner: Actor) -> None:
    file = make_artifact(channel, "strata")
    make_user_of(channel, "user", "strata", version="1.0")
    make_user_of(channel, "user", "python", version="2.0")
    assert broken(owner, file) == {}


def test_other_channels_are_named_if_neither_channel_has_another_file(channel: Channel, olga: User, sam: User) -> None:
    owner, open_ = Actor(user=olga), make_channel("open", is_private=False)
    hidden = make_channel("hidden", owner=sam)
    file = make_artifact(channel, "strata")
    for each in (open_, hidden):
        make_user_of(each, "user", "strata")
    assert broken(owner, file) == {"open/user": {"strata": ["noarch"]}}
    assert broken(ANONYMOUS, file).keys() == {"open/user"}
    assert broken(Actor(user=sam), file).keys() == {"open/user", "hidden/user"}
    make_artifact(hidden, "strata", "1.1")
    assert broken(owner, file).keys() == {"open/user"}
    make_artifact(open_, "strata", "1.1")
    assert broken(owner, file) == {}


def test_key_names_only_packages_of_channels_that_it_reads(channel: Channel, olga: User) -> None:
    file = make_artifact(channel, "strata")
    for each in (channel, make_channel("lab", owner=olga)):
        make_user_of(each, "user", "strata")
    of_channel = api_keys.look_up(make_robot(channel, olga, scopes=("read", "delete")))
    limited = api_keys.look_up(make_key(olga, scopes=("read", "delete"), channels=[channel]))
    whole = api_keys.look_up(make_key(olga, scopes=("read", "delete")))
    assert broken(Actor(key=of_channel), file).keys() == {"demo/user"}
    assert broken(Actor(user=olga, key=limited), file).keys() == {"demo/user"}
    assert broken(Actor(user=olga, key=whole), file).keys() == {"demo/user", "lab/user"}


def test_spec_that_clients_cannot_read_is_left_out(channel: Channel, owner: Actor) -> None:
    file = make_artifact(channel, "strata")
    make_user_of(channel, "odd", "strata >=<1", "strata [")
    assert broken(owner, file) == {}


@pytest.mark.parametrize("limit", ["PACKAGES_MAX", "BUILDS_MAX", "FILES_MAX", "LEAVING_MAX"])
def test_limits_are_reported(channel: Channel, owner: Actor, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [make_artifact(channel, "strata", version) for version in ("1.0", "2.0", "3.0")]
    for number in range(3):
        make_user_of(channel, f"user{number}", "strata")
    assert len(dependents.of_removal(owner, channel, files).broken) == 3
    monkeypatch.setattr(dependents, limit, 2)
    assert not dependents.of_removal(owner, channel, files).is_complete


@pytest.mark.parametrize("count", [1, 20])
def test_dependents_cost_four_queries(
    channel: Channel, owner: Actor, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    files = [make_artifact(channel, f"strata{number}") for number in range(count)]
    for number in range(count):
        make_user_of(channel, f"user{number}", f"strata{number}")
    assert Package.objects.count() == 2 * count
    with django_assert_num_queries(4):
        assert len(dependents.of_removal(owner, channel, files).broken) == count
