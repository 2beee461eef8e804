"""Patches: their effect on the index, their history, and who may change them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from channels_app.models import Artifact, AuditEvent, Channel, Role, User
from hub.errors import HubError
from publishing.index import builds, repodata
from publishing.models import IndexedName, Patch, SubdirIndex
from publishing.patches import patches, plans, previews
from publishing.patches.rules import NewRule
from publishing.verification import stored_indexes
from tests.builders import make_artifact, make_key, make_member
from tests.patches.indexes import (
    built,
    content,
    document,
    exists,
    records,
    shard_records,
    shard_run_exports,
    unpatched_records,
)

pytestmark = pytest.mark.django_db
FILES = ("repodata.json", "repodata.json.zst", "run_exports.json", "current_repodata.json")


def add(channel: Channel, user: User, changes: dict[str, Any], **values: Any) -> Patch:
    rule = NewRule(**{"title": "too loose", "changes": changes} | values)
    outcome = patches.add(actor=Actor(user=user), channel=channel, rule=rule)
    assert outcome.patch
    return outcome.patch


def test_rule_changes_the_records_that_it_selects_in_every_file(channel: Channel, olga: User) -> None:
    for version in ("1.0", "2.0"):
        make_artifact(channel, "lib", version, index_json={"depends": ["numpy >=1", "zlib"], "license": "BSD"})
    make_artifact(channel, "other", index_json={"depends": ["numpy"]})
    built(channel)
    changes = {"depends": {"replace": {"numpy": "numpy >=1,<2"}, "add": ["six"]}, "license": "BSD-3-Clause"}
    add(channel, olga, changes, names=["lib"], version="<2")
    built(channel)
    found = records()
    assert found["lib-1.0-0.conda"]["depends"] == ["numpy >=1,<2", "zlib", "six"]
    assert found["lib-1.0-0.conda"]["license"] == "BSD-3-Clause"
    assert found["lib-2.0-0.conda"]["depends"] == ["numpy >=1", "zlib"]
    assert found == shard_records()
    assert document("noarch/current_repodata.json")["packages.conda"] == {
        name: found[name] for name in ("lib-2.0-0.conda", "other-1.0-0.conda")
    }
    unpatched = unpatched_records()
    assert unpatched["lib-1.0-0.conda"]["depends"] == ["numpy >=1", "zlib"]
    assert {name for name in found if found[name] != unpatched[name]} == {"lib-1.0-0.conda"}
    assert list(stored_indexes.check(channel)) == []


def test_rule_by_build_platform_and_time_selects_no_other_record(channel: Channel, olga: User) -> None:
    old, new = (
        int(datetime(2020, 1, 1, tzinfo=UTC).timestamp() * 1000),
        int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()),
    )
    make_artifact(channel, "lib", "1.0", "py38_0", index_json={"timestamp": old})
    make_artifact(channel, "lib", "1.0", "py38_1", index_json={"timestamp": new})
    make_artifact(channel, "lib", "1.0", "py39_0", index_json={"timestamp": old})
    make_artifact(channel, "lib", "1.0", "py38_0", subdir="linux-64", index_json={"timestamp": old})
    changes = {"constrains": ["six <2"]}
    add(channel, olga, changes, build="py38*", subdirs=["noarch"], built_before=datetime(2024, 1, 1, tzinfo=UTC))
    built(channel)
    changed = [name for name, record in records().items() if record["constrains"]]
    assert changed == ["lib-1.0-py38_0.conda"]
    assert records(subdir="linux-64")["lib-1.0-py38_0.conda"]["constrains"] == []


def test_removed_record_is_in_removed_and_stays_unpatched(channel: Channel, olga: User) -> None:
    make_artifact(channel, "bad", run_exports={"weak": ["bad"]})
    make_artifact(channel, "lib", "1.0")
    make_artifact(channel, "lib", "2.0")
    yanked = make_artifact(channel, "lib", "3.0")
    Artifact.objects.filter(pk=yanked.pk).update(removal="yanked")
    add(channel, olga, {"removed": True}, names=["bad"])
    add(channel, olga, {"removed": True}, names=["lib"], version="2.0")
    built(channel)
    assert list(records()) == ["lib-1.0-0.conda"] == list(shard_records())
    removed = ["bad-1.0-0.conda", "lib-2.0-0.conda", "lib-3.0-0.conda"]
    assert sorted(document("noarch/repodata.json")["removed"]) == removed
    unpatched = document(f"noarch/{repodata.FROM_PACKAGES}")
    assert (set(unpatched["packages.conda"]), unpatched["removed"]) == (
        {"bad-1.0-0.conda", "lib-1.0-0.conda", "lib-2.0-0.conda"},
        ["lib-3.0-0.conda"],
    )
    assert "bad-1.0-0.conda" in document("noarch/run_exports.json")["packages.conda"]
    assert list(document("noarch/current_repodata.json")["packages.conda"]) == ["lib-1.0-0.conda"]
    assert json.loads(content("channeldata.json"))["packages"]["lib"]["version"] == "1.0"
    assert "bad" not in json.loads(content("channeldata.json"))["packages"]
    assert list(stored_indexes.check(channel)) == []


def test_revoked_record_needs_a_missing_package(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", index_json={"depends": ["zlib"]})
    add(channel, olga, {"revoked": True}, names=["lib"])
    built(channel)
    record = records()["lib-1.0-0.conda"]
    assert (record["depends"], record["revoked"]) == (["zlib", "package_has_been_revoked"], True)


def test_texts_are_set_and_removed(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", index_json={"track_features": "mkl", "license": "X"})
    add(channel, olga, {"track_features": None, "features": None, "license_family": "MIT"})
    built(channel)
    record = records()["lib-1.0-0.conda"]
    assert {key: record.get(key, "missing") for key in ("track_features", "features", "license_family", "license")} == {
        "track_features": "missing",
        "features": "missing",
        "license_family": "MIT",
        "license": "X",
    }


def test_run_exports_are_patched_in_their_file(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", run_exports={"weak": ["lib >=1"]})
    add(channel, olga, {"run_exports": {"strong": ["lib >=1,<2"]}})
    built(channel)
    found = document("noarch/run_exports.json")["packages.conda"]["lib-1.0-0.conda"]
    assert found == {"run_exports": {"strong": ["lib >=1,<2"]}}
    assert shard_run_exports() == {"lib-1.0-0.conda": {"strong": ["lib >=1,<2"]}}


def test_removed_record_of_revision_3_is_not_counted(channel: Channel, olga: User) -> None:
    make_artifact(channel, "new", "1.0", revision=3, indexed_timestamp=5)
    make_artifact(channel, "new", "2.0", revision=3, indexed_timestamp=7)
    add(channel, olga, {"removed": True}, version="1.0")
    built(channel)
    summary = {
        name: document(f"noarch/{name}")["info"]["repodata_revisions"]["v3"]
        for name in (repodata.REPODATA, repodata.FROM_PACKAGES)
    }
    assert summary[repodata.REPODATA] == {"n_packages": 1, "oldest": 7, "newest": 7}
    assert summary[repodata.FROM_PACKAGES] == {"n_packages": 2, "oldest": 5, "newest": 7}
    assert list(stored_indexes.check(channel)) == []


def test_patch_applies_to_later_uploads(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", "1.0")
    add(channel, olga, {"depends": {"add": ["six"]}}, names=["lib"])
    built(channel)
    make_artifact(channel, "lib", "2.0", index_json={"depends": ["zlib"]})
    built(channel)
    assert records()["lib-2.0-0.conda"]["depends"] == ["zlib", "six"]


def test_patch_schedules_the_touched_names_alone_once_for_each_subdir(channel: Channel, olga: User) -> None:
    for subdir in ("noarch", "linux-64"):
        for name in ("lib", "libb", "other"):
            make_artifact(channel, name, subdir=subdir)
    make_artifact(channel, "lib", subdir="win-64", index_json={"license": "MIT"})
    built(channel)
    before = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    add(channel, olga, {"license": "MIT"}, names=["lib*"])
    after = dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))
    assert {name: after[name] - before[name] for name in after if name} == {"noarch": 1, "linux-64": 1, "win-64": 0}
    stale = builds.stale_names(SubdirIndex.objects.get(subdir="noarch"))
    assert set(stale.values_list("name", flat=True)) == {"lib", "libb"}


def test_undo_gives_the_bytes_of_before(channel: Channel, olga: User) -> None:
    for name in ("lib", "other"):
        make_artifact(channel, name, index_json={"depends": ["zlib"]})
    built(channel)
    before = {name: content(f"noarch/{name}") for name in FILES}
    shards = dict(IndexedName.objects.exclude(shard_sha256="").values_list("name", "shard_sha256"))
    patch = add(channel, olga, {"depends": {"remove": ["zlib"]}, "removed": True}, names=["lib"])
    built(channel)
    assert exists("noarch/repodata_from_packages.json")
    assert content("noarch/repodata.json") != before["repodata.json"]
    patches.undo(actor=Actor(user=olga), patch=patch)
    built(channel)
    assert {name: content(f"noarch/{name}") for name in FILES} == before
    assert dict(IndexedName.objects.exclude(shard_sha256="").values_list("name", "shard_sha256")) == shards
    assert not exists("noarch/repodata_from_packages.json")
    assert not exists("noarch/repodata_from_packages.json.zst")


def test_patches_apply_in_order_and_a_change_keeps_its_position(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    first = add(channel, olga, {"depends": ["a"]})
    add(channel, olga, {"depends": {"add": ["b"]}})
    rule = NewRule(title="other", changes={"depends": ["c"]})
    second = patches.change(actor=Actor(user=olga), patch=first, rule=rule).patch
    assert second
    assert second.replaces == first
    built(channel)
    assert records()["lib-1.0-0.conda"]["depends"] == ["c", "b"]
    patches.undo(actor=Actor(user=olga), patch=second)
    built(channel)
    assert records()["lib-1.0-0.conda"]["depends"] == ["a", "b"]
    patches.apply_again(actor=Actor(user=olga), patch=Patch.objects.get(pk=second.pk))
    built(channel)
    assert records()["lib-1.0-0.conda"]["depends"] == ["c", "b"]
    assert [event.action for event in AuditEvent.objects.order_by("pk")][-5:] == [
        "patch.add", "patch.add", "patch.change", "patch.undo", "patch.apply",
    ]  # fmt: skip


def test_ended_patch_can_not_be_changed_or_undone_again(channel: Channel, olga: User) -> None:
    patch = add(channel, olga, {"license": "MIT"})
    patches.undo(actor=Actor(user=olga), patch=patch)
    with pytest.raises(HubError) as error:
        patches.undo(actor=Actor(user=olga), patch=patch)
    assert (error.value.status, error.value.code) == (409, "patch_ended")
    patches.apply_again(actor=Actor(user=olga), patch=Patch.objects.get())
    with pytest.raises(HubError) as error:
        patches.apply_again(actor=Actor(user=olga), patch=Patch.objects.get())
    assert error.value.code == "patch_active"


def test_dry_run_of_a_patch_stores_no_change(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", index_json={"depends": ["zlib"], "license": "X"})
    make_artifact(channel, "other")
    rule = NewRule(title="t", changes={"depends": {"remove": ["zlib"]}, "removed": True, "license": "X"}, names=["lib"])
    preview = patches.add(actor=Actor(user=olga), channel=channel, rule=rule, dry_run=True).preview
    [shown] = preview.shown
    assert (shown.file_name, shown.keys) == (
        "lib-1.0-0.conda",
        {"depends": (["zlib"], []), "removed": (False, True)},
    )
    assert not Patch.objects.exists()
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"changes": {}},
        {"changes": {"version": "2.0"}},
        {"changes": {"depends": ["numpy >=1.0.*,"]}},
        {"changes": {"depends": ["not a spec at all"]}},
        {"changes": {"depends": ["numpy[when='__unix']"]}},
        {"changes": {"depends": "zlib"}},
        {"changes": {"depends": [""]}},
        {"changes": {"depends": {}}},
        {"changes": {"depends": {"drop": []}}},
        {"changes": {"license": 5}},
        {"changes": {"license": "\ud800"}},
        {"changes": {"removed": False}},
        {"changes": {"run_exports": {"odd": []}}},
        {"changes": {"depends": ["a" * 1000 for _ in range(100)]}},
        {"title": ""},
        {"title": "two\nlines"},
        {"names": ["Upper"]},
        {"names": ["a"] * 51},
        {"subdirs": ["../x"]},
        {"version": ">=>=1"},
        {"version": "1\u0000"},
        {"build": "a b"},
        {"built_from": datetime(2024, 1, 1, tzinfo=UTC), "built_before": datetime(2024, 1, 1, tzinfo=UTC)},
    ],
)
def test_bad_rule_is_refused(channel: Channel, olga: User, values: dict[str, Any]) -> None:
    rule = NewRule(**{"title": "t", "changes": {"license": "MIT"}} | values)
    with pytest.raises(HubError) as error:
        patches.add(actor=Actor(user=olga), channel=channel, rule=rule)
    assert (error.value.status, error.value.code) == (422, "bad_patch")
    assert not Patch.objects.exists()


def test_patch_that_a_client_can_not_read_is_refused(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "lib")
    monkeypatch.setattr("publishing.patches.rules.check", lambda rule: None)
    with pytest.raises(HubError) as error:
        add(channel, olga, {"depends": [7]})
    assert (error.value.status, error.value.code) == (422, "unreadable_record")
    assert not Patch.objects.exists()


def test_record_that_a_patch_makes_unreadable_is_quarantined_until_undo(channel: Channel, olga: User) -> None:
    make_artifact(channel, "other")
    values = {"channel": channel, "position": 1, "title": "t", "names": ["lib"]}
    patch = Patch.objects.create(**values, changes={"depends": [7]})
    make_artifact(channel, "lib")
    built(channel)
    assert list(records()) == ["other-1.0-0.conda"]
    assert Artifact.objects.get(package__name="lib").quarantine_reason.startswith("With the channel's patches: ")
    patches.undo(actor=Actor(user=olga), patch=patch)
    built(channel)
    assert set(records()) == {"other-1.0-0.conda", "lib-1.0-0.conda"}


def test_upload_during_the_comparison_is_built_with_the_patch(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "lib", "1.0")
    built(channel)
    compare = previews.compare

    def slow(*args: Any) -> Any:
        preview = compare(*args)
        make_artifact(channel, "lib", "2.0")
        make_artifact(channel, "other", "2.0")
        built(channel)
        return preview

    monkeypatch.setattr(previews, "compare", slow)
    add(channel, olga, {"depends": ["six"]}, names=["lib"], version="2.0")
    stale = IndexedName.objects.filter(index__subdir="noarch", name__in=["lib", "other"])
    assert [name.name for name in stale if name.changed > name.made] == ["lib"]
    built(channel)
    assert records()["lib-2.0-0.conda"]["depends"] == ["six"]


def test_change_of_patches_meanwhile_is_refused(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    compare = previews.compare

    def slow(*args: Any) -> Any:
        monkeypatch.setattr(previews, "compare", compare)
        add(channel, olga, {"license": "MIT"})
        return compare(*args)

    monkeypatch.setattr(previews, "compare", slow)
    with pytest.raises(HubError) as error:
        add(channel, olga, {"license": "BSD"})
    assert (error.value.status, error.value.code) == (409, "patches_changed")
    assert Patch.objects.get().changes == {"license": "MIT"}


def test_channel_with_all_patches_takes_no_more(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "ACTIVE_MAX", 1)
    patch = add(channel, olga, {"license": "MIT"})
    with pytest.raises(HubError) as error:
        add(channel, olga, {"license": "BSD"})
    assert error.value.code == "patches_limit"
    patches.change(actor=Actor(user=olga), patch=patch, rule=NewRule(title="t", changes={"license": "BSD"}))


def test_oldest_ended_patches_are_deleted(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "ENDED_MAX", 1)
    ended = [add(channel, olga, {"license": text}) for text in ("A", "B")]
    for patch in ended:
        patches.undo(actor=Actor(user=olga), patch=patch)
    assert [patch.pk for patch in Patch.objects.all()] == [ended[1].pk]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CONTRIBUTOR])
def test_member_who_may_not_manage_is_refused(channel: Channel, sam: User, role: str) -> None:
    make_member(channel, sam, role)
    with pytest.raises(HubError) as error:
        add(channel, sam, {"license": "MIT"})
    assert error.value.status == 403


def limited(olga: User) -> Actor:
    """Return a key of Olga's that is limited to the names lib*."""
    key = api_keys.look_up(make_key(olga, scopes=("read", "manage"), package_globs=["lib*"]))
    return Actor(user=olga, key=key)


def test_key_of_some_names_patches_those_alone(channel: Channel, olga: User) -> None:
    actor = limited(olga)
    changes: dict[str, Any] = {"license": "MIT"}
    patches.add(actor=actor, channel=channel, rule=NewRule(title="t", changes=changes, names=["lib", "libb"]))
    for names in ([], ["other"], ["lib", "other"], ["lib*"], ["li?"]):
        with pytest.raises(HubError) as error:
            patches.add(actor=actor, channel=channel, rule=NewRule(title="t", changes=changes, names=names))
        assert (error.value.status, error.value.code) == (403, "name_not_allowed")
    of_others = add(channel, olga, changes, names=["other"])
    with pytest.raises(HubError) as error:
        patches.undo(actor=actor, patch=of_others)
    assert error.value.code == "name_not_allowed"


def test_event_of_a_patch_has_its_conditions_and_changes(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    add(channel, olga, {"license": "MIT"}, names=["lib"], version=">=1")
    event = AuditEvent.objects.get(action="patch.add")
    assert event.target == "too loose"
    said = {"names": "lib", "version": ">=1", "changes": '{"license": "MIT"}', "records": "1"}
    assert said.items() <= event.detail["fields"].items()


def test_patch_that_makes_the_index_much_longer_is_refused(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(channel, "lib", index_json={"depends": [f"lib{number}" for number in range(100)]})
    patch = add(channel, olga, {"depends": []})
    patches.undo(actor=Actor(user=olga), patch=patch)
    monkeypatch.setattr(previews, "GROWTH_MAX_BYTES", 500)
    for name in "ab":
        add(channel, olga, {"constrains": {"add": [name * 200]}})
    with pytest.raises(HubError) as error:
        add(channel, olga, {"constrains": {"add": ["c" * 200]}})
    assert (error.value.status, error.value.code) == (422, "patch_too_large")
    patches.apply_again(actor=Actor(user=olga), patch=patch)
    add(channel, olga, {"constrains": {"add": ["c" * 200]}})
    patches.undo(actor=Actor(user=olga), patch=patch)


def test_patches_have_a_limited_number_of_names_with_wildcards(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "WILDCARD_NAMES_MAX", 3)
    patch = add(channel, olga, {"license": "MIT"}, names=["a*", "b?", "c"])
    with pytest.raises(HubError) as error:
        add(channel, olga, {"license": "MIT"}, names=["[de]", "f*"])
    assert (error.value.status, error.value.code) == (409, "patches_limit")
    add(channel, olga, {"license": "MIT"}, names=["d", "e", "f*"])
    patches.undo(actor=Actor(user=olga), patch=patch)
    add(channel, olga, {"license": "MIT"}, names=["[de]", "g*"])
