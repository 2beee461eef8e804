"""Packages of which patches change records: their latest version, their dependencies, and removals of those."""

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Package, User
from channels_app.packages import packages, queries
from publishing.models import Patch
from publishing.patches import imports, patches
from publishing.patches.rules import NewRule
from publishing.removal import dependents
from tests.builders import make_artifact, make_channel
from tests.patches.indexes import built
from tests.patches.packages import encoded, instructions

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(olga: User) -> Actor:
    return Actor(user=olga)


def make_file(channel: Channel, name: str, version: str = "1.0", *depends: str, **fields: Any) -> Artifact:
    artifact = make_artifact(channel, name, version, index_json={"depends": list(depends)}, **fields)
    packages.refresh(artifact.package)
    return artifact


def add(channel: Channel, actor: Actor, changes: dict[str, Any], **values: Any) -> Patch:
    patch = patches.add(actor=actor, channel=channel, rule=NewRule(title="x", changes=changes, **values)).patch
    built(channel)
    assert patch
    return patch


def used_by(channel: Channel, name: str) -> list[str]:
    package, _ = Package.objects.get_or_create(channel=channel, name=name)
    return [found.name for found in queries.dependents(package, Channel.objects.all())]


def latest(channel: Channel, name: str) -> str:
    return Package.objects.get(channel=channel, name=name).latest_version


def test_package_is_used_by_packages_whose_patched_records_need_it(channel: Channel, owner: Actor) -> None:
    make_file(channel, "app", "1.0", "old >=1")
    make_file(channel, "other", "1.0", "old")
    built(channel)
    patch = add(channel, owner, {"depends": {"replace": {"old": "new >=2"}}}, names=["app"])
    assert (used_by(channel, "old"), used_by(channel, "new")) == (["other"], ["app"])
    patches.undo(actor=owner, patch=patch)
    built(channel)
    assert (used_by(channel, "old"), used_by(channel, "new")) == (["app", "other"], [])


def test_package_stays_patched_after_an_upload_to_another_subdir(channel: Channel, owner: Actor) -> None:
    make_file(channel, "app", "2.0", "old", subdir="linux-64")
    built(channel)
    add(channel, owner, {"depends": ["new"]}, names=["app"], subdirs=["linux-64"])
    make_file(channel, "app", "1.0", "old", build="n")
    assert used_by(channel, "old") == ["app"]
    built(channel)
    assert (used_by(channel, "old"), used_by(channel, "new")) == ([], ["app"])


def test_latest_version_is_one_that_patches_leave_in_the_index(channel: Channel, owner: Actor) -> None:
    make_file(channel, "app", "1.0", "one")
    make_file(channel, "app", "2.0", "two", build="b")
    built(channel)
    patch = add(channel, owner, {"removed": True}, names=["app"], version=">=2")
    assert (latest(channel, "app"), used_by(channel, "one"), used_by(channel, "two")) == ("1.0", ["app"], [])
    patches.undo(actor=owner, patch=patch)
    built(channel)
    assert (latest(channel, "app"), used_by(channel, "one"), used_by(channel, "two")) == ("2.0", [], ["app"])


def test_package_without_a_record_in_the_index_has_no_latest_version(channel: Channel, owner: Actor) -> None:
    make_file(channel, "app")
    built(channel)
    add(channel, owner, {"removed": True}, names=["app"])
    assert latest(channel, "app") == ""
    make_file(channel, "app", "0.9", build="later")
    built(channel)
    assert latest(channel, "app") == ""


def test_package_in_imported_instructions_is_used_by_its_patched_records(channel: Channel, owner: Actor) -> None:
    make_file(channel, "app", "1.0", "old", subdir="linux-64")
    built(channel)
    document = instructions() | {"packages.conda": {"app-1.0-0.conda": {"depends": ["new"]}}}
    imports.import_file(actor=owner, channel=channel, file=BytesIO(encoded(document)), subdir="linux-64", source="x")
    built(channel)
    assert (used_by(channel, "old"), used_by(channel, "new")) == ([], ["app"])


def broken(actor: Actor, *removed: Artifact) -> set[str]:
    found = dependents.of_removal(actor, removed[0].channel, removed)
    return {f"{each.package.name}: {spec}" for each in found.broken for spec in each.lost}


def test_removal_breaks_packages_whose_patched_records_need_it(channel: Channel, owner: Actor) -> None:
    old, new = make_file(channel, "old"), make_file(channel, "new")
    make_file(channel, "app", "1.0", "old")
    built(channel)
    add(channel, owner, {"depends": {"replace": {"old": "new >=1"}}}, names=["app"])
    assert broken(owner, old) == set()
    assert broken(owner, new) == {"app: new >=1"}


@pytest.mark.parametrize("changes", [{"removed": True}, {"revoked": True}])
def test_file_that_patches_make_uninstallable_satisfies_no_dependency(
    channel: Channel, owner: Actor, changes: dict[str, Any]
) -> None:
    good = make_file(channel, "lib", "1.0")
    bad = make_file(channel, "lib", "1.1", build="b")
    make_file(channel, "app", "1.0", "lib")
    built(channel)
    assert broken(owner, good) == set()
    add(channel, owner, changes, names=["lib"], version="1.1")
    assert broken(owner, good) == {"app: lib"}
    assert broken(owner, bad) == set()


def test_build_that_patches_remove_loses_no_dependency(channel: Channel, owner: Actor) -> None:
    lib = make_file(channel, "lib")
    make_file(channel, "app", "1.0", "other")
    make_file(channel, "app", "1.0", "lib", build="b")
    built(channel)
    add(channel, owner, {"removed": True}, names=["app"], build="b")
    assert broken(owner, lib) == set()


def test_patch_by_build_time_holds_for_files_that_satisfy_a_dependency(channel: Channel, owner: Actor) -> None:
    good = make_file(channel, "lib", "1.0")
    late = make_file(channel, "lib", "1.1", build="b")
    Artifact.objects.filter(pk=late.pk).update(index_json={**late.index_json, "timestamp": 1_700_000_000_000})
    make_file(channel, "app", "1.0", "lib")
    built(channel)
    add(channel, owner, {"removed": True}, names=["lib"], built_from=datetime(2023, 1, 1, tzinfo=UTC))
    assert broken(owner, good) == {"app: lib"}


def test_patches_of_one_channel_leave_those_of_another(channel: Channel, owner: Actor, olga: User) -> None:
    other = make_channel("other", owner=olga)
    lib = make_file(channel, "lib")
    for each in (channel, other):
        make_file(each, "app", "1.0", "lib")
    built(channel)
    add(channel, owner, {"depends": []}, names=["app"])
    found = dependents.of_removal(owner, channel, [lib])
    assert [str(each.package) for each in found.broken] == ["other/app"]
