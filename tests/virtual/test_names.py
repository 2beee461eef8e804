"""The member that a name belongs to, and the index files that follow from it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from hub.storage import store
from publishing import housekeeping
from publishing.index import builds
from publishing.index import repodata as layouts
from publishing.labels import old_indexes
from publishing.models import IndexedName, NameRule, VirtualName
from publishing.removal import removal
from publishing.virtual.virtual import RuleText
from tests.builders import make_artifact, make_channel, make_label, make_patch
from tests.sample_channel import found
from tests.virtual.channels import build_all, file_names, make_virtual, repodata, set_members, shards

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(olga: User) -> Channel:
    return make_channel("acme", owner=olga, is_private=False)


@pytest.fixture
def forge(olga: User) -> Channel:
    return make_channel("forge", owner=olga, is_private=False)


def yank(olga: User, artifact: Artifact) -> None:
    removal.yank(actor=Actor(user=olga), artifact=artifact, reason="bad")


def test_name_belongs_to_the_first_member_that_has_it_in_any_subdir(olga: User, acme: Channel, forge: Channel) -> None:
    make_artifact(acme, "both", "1.0", subdir="linux-64")
    make_artifact(forge, "both", "2.0")
    make_artifact(forge, "other")
    make_virtual(olga, "acme", "forge")
    build_all()
    assert file_names("all") == ["other-1.0-0.conda"]
    assert file_names("all", "linux-64") == ["both-1.0-0.conda"]
    assert shards("all", "linux-64") == shards("acme", "linux-64")
    assert found(Channel.objects.get(name="all")) == []


def test_new_name_of_an_earlier_member_takes_it_from_the_later_one(olga: User, acme: Channel, forge: Channel) -> None:
    make_artifact(forge, "both", "2.0")
    make_virtual(olga, "acme", "forge")
    build_all()
    assert file_names("all") == ["both-2.0-0.conda"]
    make_artifact(acme, "both", "1.0", subdir="linux-64")
    build_all()
    assert (file_names("all"), file_names("all", "linux-64")) == ([], ["both-1.0-0.conda"])


def test_yanked_name_stays_with_its_member(olga: User, acme: Channel, forge: Channel) -> None:
    artifact = make_artifact(acme, "both", "1.0")
    make_artifact(forge, "both", "2.0")
    make_virtual(olga, "acme", "forge")
    build_all()
    yank(olga, artifact)
    build_all()
    assert (file_names("all"), repodata("all")["removed"]) == ([], ["both-1.0-0.conda"])


def test_name_whose_files_patches_remove_stays_with_its_member(olga: User, acme: Channel, forge: Channel) -> None:
    make_artifact(acme, "both", "1.0")
    make_artifact(forge, "both", "2.0")
    make_patch(acme, names=["both"], changes={"removed": True})
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    assert file_names("all") == []
    unpatched = repodata("all", name=layouts.FROM_PACKAGES)
    assert list(unpatched["packages.conda"]) == ["both-1.0-0.conda"]
    assert found(channel) == []


def test_change_of_a_name_marks_only_that_name(olga: User, acme: Channel, forge: Channel) -> None:
    for name in ("one", "two"):
        make_artifact(acme, name)
    make_artifact(forge, "one", "2.0")
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    make_artifact(acme, "one", "1.1")
    make_artifact(forge, "one", "2.1")
    for member in (forge, acme):
        builds.build_until_current(member.indexes.get(subdir="noarch").pk)
    stale = builds.stale_names(channel.indexes.get(subdir="noarch"))
    assert list(stale.values_list("name", flat=True)) == ["one"]
    before = shards("all")
    build_all()
    assert shards("all")["two"] == before["two"]
    assert shards("all")["one"] == shards("acme")["one"] != before["one"]


def test_build_of_a_name_of_another_member_marks_no_index_stale(olga: User, acme: Channel, forge: Channel) -> None:
    make_artifact(acme, "one")
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    before = channel.indexes.get(subdir="noarch").requested_revision
    make_artifact(forge, "one", "2.0")
    build_all()
    assert channel.indexes.get(subdir="noarch").requested_revision == before


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ((), {"acme-tool": "acme", "numpy": "acme", "zlib": "forge"}),
        ((RuleText("numpy", "never_from", "acme"),), {"acme-tool": "acme", "numpy": "forge", "zlib": "forge"}),
        ((RuleText("acme-*", "only_from", "forge"),), {"acme-tool": "forge", "numpy": "acme", "zlib": "forge"}),
        ((RuleText("acme-*", "only_from"),), {"numpy": "acme", "zlib": "forge"}),
        (
            (RuleText("n*", "only_from", "forge"), RuleText("num*", "only_from", "acme")),
            {"acme-tool": "acme", "zlib": "forge"},
        ),
    ],
)
def test_rules_exclude_members(
    olga: User, acme: Channel, forge: Channel, rules: tuple[RuleText, ...], expected: dict[str, str]
) -> None:
    for channel, names in ((acme, ("acme-tool", "numpy")), (forge, ("acme-tool", "numpy", "zlib"))):
        for name in names:
            make_artifact(channel, name, build=channel.name)
    virtual = make_virtual(olga, "acme", "forge")
    build_all()
    set_members(olga, virtual, "acme", "forge", rules=rules)
    build_all()
    assert file_names("all") == sorted(f"{name}-1.0-{member}.conda" for name, member in expected.items())
    assert found(virtual) == []


def test_label_is_a_member_with_its_own_files(olga: User, acme: Channel, forge: Channel) -> None:
    dev = make_artifact(acme, "tool", "2.0", is_main=False)
    make_artifact(acme, "tool", "1.0")
    make_artifact(forge, "tool", "9.0")
    dev.labels.add(make_label(acme, "dev"))
    builds.schedule_label_builds(acme, "noarch", {"dev": ["tool"]})
    make_virtual(olga, "acme/label/dev", "acme", "forge")
    build_all()
    assert file_names("all") == ["tool-2.0-0.conda"]


def test_deleted_member_keeps_its_names_without_serving_them(olga: User, acme: Channel, forge: Channel) -> None:
    make_artifact(acme, "both", "1.0")
    make_artifact(forge, "both", "2.0")
    channel = make_virtual(olga, "acme", "forge")
    build_all()
    Channel.objects.filter(pk=acme.pk).update(deleted_at=timezone.now())
    build_all()
    assert file_names("all") == []
    Channel.objects.filter(pk=acme.pk).update(deleted_at=None)
    build_all()
    assert file_names("all") == ["both-1.0-0.conda"]
    assert found(channel) == []


def test_purged_member_leaves_its_names_unless_a_rule_reserves_them(olga: User, acme: Channel, forge: Channel) -> None:
    for channel in (acme, forge):
        make_artifact(channel, "numpy", build=channel.name)
        make_artifact(channel, "acme-tool", build=channel.name)
    virtual = make_virtual(olga, "acme", "forge")
    set_members(olga, virtual, "acme", "forge", rules=(RuleText("acme-*", "only_from", "acme"),))
    build_all()
    Channel.objects.filter(pk=acme.pk).update(deleted_at=timezone.now() - timedelta(days=400))
    housekeeping.remove_leftovers()
    build_all()
    assert not Channel.objects.filter(name="acme").exists()
    assert file_names("all") == ["numpy-1.0-forge.conda"]
    assert NameRule.objects.get().member is None


def test_name_stays_with_a_deleted_label(olga: User, acme: Channel, forge: Channel) -> None:
    dev = make_artifact(acme, "tool", "2.0", is_main=False)
    for channel in (make_channel("partner", owner=olga, is_private=False), forge):
        make_artifact(channel, "tool", "9.0")
    label = make_label(acme, "dev")
    dev.labels.add(label)
    builds.schedule_label_builds(acme, "noarch", {"dev": ["tool"]})
    virtual = make_virtual(olga, "partner", "acme/label/dev", "forge")
    build_all()
    label.delete()
    builds.empty_label(acme, "dev")
    old_indexes.remove_old_indexes()
    build_all()
    assert VirtualName.objects.get(name="tool").member.member.name == "partner"
    set_members(olga, virtual, "acme/label/dev", "forge")
    assert VirtualName.objects.get(name="tool").member.label == "dev"
    build_all()
    assert file_names("all") == []
    assert found(virtual) == []


def test_build_marks_no_virtual_channel_that_can_be_purged(olga: User, acme: Channel) -> None:
    virtual = make_virtual(olga, "acme")
    make_artifact(acme, "tool")
    Channel.objects.filter(pk=virtual.pk).update(deleted_at=timezone.now() - timedelta(days=400))
    builds.build_until_current(acme.indexes.get(subdir="noarch").pk)
    assert not virtual.virtual_names.exists()
    Channel.objects.filter(pk=virtual.pk).update(deleted_at=timezone.now())
    make_artifact(acme, "other")
    builds.build_until_current(acme.indexes.get(subdir="noarch").pk)
    assert [row.name for row in virtual.virtual_names.all()] == ["other"]


def test_retired_shards_are_forgotten_after_a_week(olga: User, acme: Channel) -> None:
    make_artifact(acme, "one")
    channel = make_virtual(olga, "acme")
    build_all()
    make_artifact(acme, "one", "1.1")
    build_all()
    index = channel.indexes.get(subdir="noarch")
    assert index.merged_shards.count() == 2
    index.merged_shards.exclude(retired_at=None).update(retired_at=timezone.now() - timedelta(days=8))
    housekeeping.remove_leftovers()
    assert list(index.merged_shards.values_list("sha256", flat=True)) == list(shards("all").values())


def test_virtual_channel_stores_no_shards_and_no_fragments(olga: User, acme: Channel) -> None:
    make_artifact(acme, "one", revision=3)
    channel = make_virtual(olga, "acme")
    build_all()
    assert not any("/shards/" in key for key in store().list("all/"))
    assert not channel.indexes.exclude(fragments=None).exists()
    assert repodata("all")["v3"] == repodata("acme")["v3"]
    assert repodata("all")["info"]["repodata_revisions"] == repodata("acme")["info"]["repodata_revisions"]


def test_verification_finds_a_wrong_shard_and_repairs_it(olga: User, acme: Channel) -> None:
    make_artifact(acme, "one")
    channel = make_virtual(olga, "acme")
    build_all()
    IndexedName.objects.filter(index__channel=channel, name="one").update(shard_sha256="0" * 64)
    assert ("index", "all/noarch/one") in found(channel)
    from publishing.verification import repairs, verification

    assert repairs.repair(channel, verification.verify(channel).differences) == []
    assert found(channel) == []


def test_unbuilt_change_of_a_member_is_no_difference(olga: User, acme: Channel) -> None:
    make_artifact(acme, "one")
    channel = make_virtual(olga, "acme")
    build_all()
    make_artifact(acme, "one", "1.1")
    index = acme.indexes.get(subdir="noarch")
    from publishing.index import fragments

    fragments.remake(index, ["one"])  # and then the build is killed
    assert found(channel) == []
