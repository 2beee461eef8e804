"""Promotions: files that are copied or moved between channels within the store."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import (
    AboutDocument,
    AuditEvent,
    Channel,
    Member,
    Package,
    Removal,
    Role,
    Usage,
    User,
)
from channels_app.packages import about
from channels_app.quotas import channel_quotas, quotas
from hub.errors import HubError
from hub.storage import StoreError, store
from hub.storage.folder import FolderStore
from publishing.models import Promotion, PromotionState, Reservation, SubdirIndex
from publishing.promotion import copying, promotions, queries, records, rollback, rules
from publishing.promotion.plan import Wanted
from publishing.removal import removal
from tests.archives import make_conda
from tests.builders import make_artifact, make_member, make_patch
from tests.promotion.calls import promote, refusal
from tests.sample_channel import build_index, found, publish, read

pytestmark = pytest.mark.django_db


def names(channel: Channel, **fields: Any) -> list[str]:
    return sorted(channel.artifacts.filter(**fields).values_list("file_name", flat=True))


def indexed(channel: Channel) -> list[str]:
    build_index(channel)
    repodata = json.loads(read(f"{channel}/noarch/repodata.json"))
    return sorted(repodata["packages.conda"])


ALL = ["lib-1.0-0.conda", "tool-1.0-0.conda", "tool-2.0-0.conda"]


def test_promotion_copies_bytes_rows_and_index(staging: Channel, channel: Channel, olga: User) -> None:
    promotion = promote(staging, channel, olga)
    assert (promotion.state, promotion.created_by) == (PromotionState.DONE, olga)
    assert indexed(channel) == indexed(staging) == ALL
    for name in ALL:
        source, copied = staging.artifacts.get(file_name=name), channel.artifacts.get(file_name=name)
        assert read(str(copied)) == read(str(source))
        assert (copied.sha256, copied.index_json, copied.uploaded_by) == (source.sha256, source.index_json, olga)
        assert copied.indexed_timestamp > source.indexed_timestamp
    assert Package.objects.get(channel=channel, name="tool").latest_version == "2.0"
    assert found(channel, is_hashed=True) == []
    assert not Reservation.objects.exists()


def test_promotion_of_many_files_is_one_index_change(staging: Channel, channel: Channel, olga: User) -> None:
    build_index(channel)
    before = SubdirIndex.objects.get(channel=channel, subdir="noarch").requested_revision
    promote(staging, channel, olga)
    assert SubdirIndex.objects.get(channel=channel, subdir="noarch").requested_revision == before + 1


def test_promotion_is_an_event_of_each_file(staging: Channel, channel: Channel, olga: User) -> None:
    promotion = promote(staging, channel, olga)
    events = AuditEvent.objects.filter(channel=channel, action="artifact.promote")
    assert sorted(event.target for event in events) == [f"noarch/{name}" for name in ALL]
    assert {(event.actor, event.detail["source"], event.detail["promotion"]) for event in events} == {
        (olga, "staging", promotion.pk)
    }


def test_preview_names_files_whose_patches_stay_behind(staging: Channel, channel: Channel, olga: User) -> None:
    def noted() -> list[str]:
        wanted = Wanted(Actor(user=olga), staging, channel)
        planned = promotions.preview(wanted=wanted, selection=staging.artifacts.all())
        return [each.artifact.file_name for each in planned if "stay behind" in each.note]

    assert noted() == []
    changes = {"depends": {"add": ["six"]}}
    make_patch(staging, names=["tool"], version="<2", changes=changes)
    assert noted() == ["tool-1.0-0.conda"]
    make_patch(channel, names=["tool"], changes=changes)
    assert noted() == []


def test_move_deletes_the_files_in_the_source(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"package__name": "tool"}, is_move=True)
    assert indexed(staging) == ["lib-1.0-0.conda"]
    assert indexed(channel) == ["tool-1.0-0.conda", "tool-2.0-0.conda"]
    assert set(staging.artifacts.filter(package__name="tool").values_list("removal", flat=True)) == {Removal.DELETED}


@pytest.mark.parametrize("is_move", [False, True])
def test_rollback_makes_both_channels_as_before(staging: Channel, channel: Channel, olga: User, is_move: bool) -> None:
    promotion = promote(staging, channel, olga, is_move=is_move)
    rollback.roll_back(actor=Actor(user=olga), promotion=promotion)
    assert promotion.state == PromotionState.ROLLED_BACK
    assert (indexed(channel), indexed(staging)) == ([], ALL)
    assert AuditEvent.objects.filter(channel=channel, action="promotion.roll_back", target=str(promotion.pk)).exists()


def test_rollback_is_possible_once(staging: Channel, channel: Channel, olga: User) -> None:
    promotion = promote(staging, channel, olga)
    rollback.roll_back(actor=Actor(user=olga), promotion=promotion)
    assert refusal(lambda: rollback.roll_back(actor=Actor(user=olga), promotion=promotion)) == (409, "not_done")


def test_rollback_of_a_move_whose_files_are_purged_is_refused(staging: Channel, channel: Channel, olga: User) -> None:
    promotion = promote(staging, channel, olga, is_move=True)
    staging.artifacts.update(removed_at=timezone.now() - timedelta(days=99))
    removal.purge_deleted()
    assert refusal(lambda: rollback.roll_back(actor=Actor(user=olga), promotion=promotion)) == (409, "purged")
    assert indexed(channel) == ALL


def test_promotion_after_a_rollback_restores_the_files(staging: Channel, channel: Channel, olga: User) -> None:
    rollback.roll_back(actor=Actor(user=olga), promotion=promote(staging, channel, olga))
    again = promote(staging, channel, olga)
    assert set(again.files.values_list("change", flat=True)) == {"restored"}
    assert indexed(channel) == ALL


def test_files_that_the_target_has_stay_unchanged(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga, {"version": "1.0"})
    second = promote(staging, channel, olga)
    changes = dict(second.files.values_list("file_name", "change"))
    assert changes == {ALL[2]: "new"}
    rollback.roll_back(actor=Actor(user=olga), promotion=second)
    assert indexed(channel) == ALL[:2]


def test_promotion_of_present_files_has_no_rows_and_needs_no_approval(
    staging: Channel, channel: Channel, olga: User
) -> None:
    promote(staging, channel, olga)
    rules.save(actor=Actor(user=olga), channel=channel, source="*", needs="upload", needs_approval=True)
    again = promote(staging, channel, olga)
    assert (again.state, again.files.count()) == (PromotionState.DONE, 0)
    assert AuditEvent.objects.filter(action="artifact.promote").count() == len(ALL)


def test_other_bytes_of_one_file_refuse_the_promotion(staging: Channel, channel: Channel, olga: User) -> None:
    make_artifact(channel, "tool", "2.0")
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "exists")
    assert names(channel) == ["tool-2.0-0.conda"]
    assert not Promotion.objects.exists()


def test_other_bytes_are_replaced_where_the_channel_allows_it(staging: Channel, channel: Channel, olga: User) -> None:
    make_artifact(channel, "tool", "2.0")
    assert refusal(lambda: promote(staging, channel, olga, replaces=True)) == (403, "overwriting_off")
    channel.allow_overwrite = True
    channel.save()
    promote(staging, channel, olga, replaces=True)
    assert channel.artifacts.get(version="2.0").sha256 == staging.artifacts.get(version="2.0").sha256


def test_yanked_file_is_not_promoted(staging: Channel, channel: Channel, olga: User) -> None:
    removal.yank(actor=Actor(user=olga), artifact=staging.artifacts.get(version="2.0"), reason="")
    promote(staging, channel, olga)
    assert names(channel) == ALL[:2]
    assert refusal(lambda: promote(staging, channel, olga, {"version": "2.0"})) == (422, "nothing_selected")


def test_file_that_is_yanked_in_the_target_is_refused(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga)
    removal.yank(actor=Actor(user=olga), artifact=channel.artifacts.get(version="2.0"), reason="")
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "yanked")


def test_policies_of_the_target_are_obeyed(staging: Channel, channel: Channel, olga: User) -> None:
    for policy, expected in (
        ({"only_trusted_publishers": True}, (403, "trusted_publishers_only")),
        ({"require_attestation": True}, (422, "attestation_missing")),
        ({"max_upload_bytes": 10}, (413, "too_large")),
    ):
        Channel.objects.filter(pk=channel.pk).update(**policy)
        channel.refresh_from_db()
        assert refusal(lambda: promote(staging, channel, olga)) == expected
        Channel.objects.filter(pk=channel.pk).update(
            **{name: None if value == 10 else False for name, value in policy.items()}
        )
    assert not channel.artifacts.exists()


@pytest.mark.parametrize(
    ("in_source", "in_target", "is_move", "expected"),
    [
        (None, Role.OWNER, False, "no_access"),
        (Role.OWNER, None, False, "no_access"),
        (Role.OWNER, Role.VIEWER, False, "role_missing"),
        (Role.CONTRIBUTOR, Role.OWNER, True, "role_missing"),
        (Role.VIEWER, Role.CONTRIBUTOR, False, ""),
        (Role.MAINTAINER, Role.CONTRIBUTOR, True, ""),
    ],
)
def test_promotion_needs_rights_in_both_channels(
    staging: Channel, channel: Channel, sam: User, in_source: str, in_target: str, is_move: bool, expected: str
) -> None:
    for where, role in ((staging, in_source), (channel, in_target)):
        if role:
            make_member(where, sam, role)
    if expected:
        assert refusal(lambda: promote(staging, channel, sam, is_move=is_move)) == (403, expected)
    else:
        assert promote(staging, channel, sam, is_move=is_move).state == PromotionState.DONE


def test_right_that_ends_while_bytes_are_copied_undoes_the_promotion(
    staging: Channel, channel: Channel, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_member(staging, sam), make_member(channel, sam, Role.CONTRIBUTOR)
    copy_files = copying.copy_files

    def copy_and_remove(*arguments: Any) -> None:
        copy_files(*arguments)
        Member.objects.filter(user=sam, channel=channel).delete()

    monkeypatch.setattr(copying, "copy_files", copy_and_remove)
    assert refusal(lambda: promote(staging, channel, sam)) == (403, "no_access")
    assert Promotion.objects.get().state == PromotionState.FAILED
    assert not channel.artifacts.exists()
    assert list(store().list("demo/")) == []
    assert not Reservation.objects.exists()


def test_source_file_that_changes_meanwhile_undoes_the_promotion(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_files = copying.copy_files

    def copy_and_delete(*arguments: Any) -> None:
        copy_files(*arguments)
        removal.delete(actor=Actor(user=olga), artifact=staging.artifacts.get(version="2.0"), reason="")

    monkeypatch.setattr(copying, "copy_files", copy_and_delete)
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "changed_meanwhile")
    assert list(store().list("demo/")) == []


def test_failing_store_undoes_the_promotion(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.HUB_USER_BYTES = 10**9
    quotas.check_room(channel, 1)
    before = Usage.objects.get().day_packages
    copy = FolderStore.copy

    def fail_at_second(self: FolderStore, source: str, target: str) -> None:
        if "tool-2.0" in source:
            raise StoreError("The store is down")
        copy(self, source, target)

    monkeypatch.setattr(FolderStore, "copy", fail_at_second)
    with pytest.raises(StoreError):
        promote(staging, channel, olga, label="rc")
    assert not channel.labels.exists()
    failed = Promotion.objects.get()
    assert (failed.state, failed.failure) == (PromotionState.FAILED, "The store is down")
    assert list(store().list("demo/")) == []
    assert Usage.objects.get().day_packages == before
    monkeypatch.setattr(FolderStore, "copy", copy)
    assert promote(staging, channel, olga).state == PromotionState.DONE


def test_bytes_that_a_failed_promotion_replaced_are_quarantined(
    staging: Channel, channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = publish(channel, olga, make_conda(tmp_path, name="tool", version="2.0", files={"share/mine": b"x"}))
    channel.allow_overwrite = True
    channel.save()
    monkeypatch.setattr(records, "record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        promote(staging, channel, olga, replaces=True)
    mine.refresh_from_db()
    assert mine.is_damaged
    assert indexed(channel) == []


def test_promotion_counts_in_the_quota_of_the_target(
    staging: Channel, channel: Channel, olga: User, settings: Settings
) -> None:
    size = sum(staging.artifacts.values_list("size_bytes", flat=True))
    settings.HUB_USER_BYTES = 2 * size - 1
    assert refusal(lambda: promote(staging, channel, olga)) == (413, "quota_bytes")
    assert not Promotion.objects.exists()
    settings.HUB_USER_BYTES = 2 * size
    promote(staging, channel, olga)


def test_promotion_counts_in_the_quota_of_the_channel(staging: Channel, channel: Channel, olga: User) -> None:
    size = sum(staging.artifacts.values_list("size_bytes", flat=True))
    channel.quota_bytes = size - 1
    channel.save(update_fields=["quota_bytes"])
    assert refusal(lambda: promote(staging, channel, olga)) == (413, "channel_quota")
    assert not Promotion.objects.exists()
    channel.quota_bytes = size
    channel.save(update_fields=["quota_bytes"])
    promote(staging, channel, olga)
    assert channel_quotas.usage(channel).percent == 100


def test_long_about_document_goes_along(staging: Channel, channel: Channel, olga: User) -> None:
    source = staging.artifacts.get(version="2.0")
    AboutDocument.objects.create(artifact=source, body=about.packed({"summary": "s" * 20_000}))
    promote(staging, channel, olga)
    assert AboutDocument.objects.get(artifact__channel=channel).body == source.about_document.body


def test_other_bytes_under_way_are_not_overtaken(staging: Channel, channel: Channel, olga: User) -> None:
    Reservation.objects.create(
        channel=channel,
        subdir="noarch",
        file_name=ALL[0],
        sha256="0" * 64,
        token="t",
        expires_at=timezone.now() + timedelta(minutes=1),
    )
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "being_uploaded")


def test_upload_of_the_same_bytes_meanwhile_ends_well(
    staging: Channel, channel: Channel, olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_files = copying.copy_files

    def copy_and_upload(*arguments: Any) -> None:
        copy_files(*arguments)
        publish(channel, olga, tmp_path / "built" / ALL[0])

    monkeypatch.setattr(copying, "copy_files", copy_and_upload)
    promotion = promote(staging, channel, olga)
    assert promotion.state == PromotionState.DONE
    assert indexed(channel) == ALL
    assert found(channel, is_hashed=True) == []


class Killed(BaseException):
    """The end of a process: no handler of Exception sees it."""


@pytest.mark.parametrize("place", [(copying, "copy_files"), (copying, "put_sidecars"), (records, "record")])
def test_promotion_whose_process_was_killed_is_completed(
    staging: Channel, channel: Channel, olga: User, place: tuple[Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(*place, kill)
        with pytest.raises(Killed):
            promote(staging, channel, olga)
    assert not channel.artifacts.exists()
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == PromotionState.RUNNING, "It may run in another process."
    Promotion.objects.update(started_at=timezone.now() - promotions.ABANDONED_AFTER)
    promotions.finish_abandoned()
    assert Promotion.objects.get().state == PromotionState.DONE
    assert indexed(channel) == ALL
    promotions.finish_abandoned()


def test_quarantined_file_of_the_target_is_not_taken_for_a_copy(staging: Channel, channel: Channel, olga: User) -> None:
    promote(staging, channel, olga)
    channel.artifacts.update(quarantine_reason="Its bytes are wrong.")
    assert refusal(lambda: promote(staging, channel, olga, is_move=True)) == (409, "quarantined")
    assert names(staging, removal=Removal.NONE) == ALL


@pytest.mark.parametrize(("is_private", "reason"), [(True, "Moved to a private channel."), (False, "Moved to 'demo'.")])
def test_reason_of_a_move_does_not_name_a_private_target(
    staging: Channel, channel: Channel, olga: User, is_private: bool, reason: str
) -> None:
    channel.is_private = is_private
    channel.save()
    promote(staging, channel, olga, is_move=True)
    assert set(staging.artifacts.values_list("removal_reason", flat=True)) == {reason}


def test_rollback_of_a_move_does_not_name_a_hidden_source(
    staging: Channel, channel: Channel, olga: User, sam: User
) -> None:
    promotion = promote(staging, channel, olga, is_move=True)
    make_member(channel, sam, Role.MAINTAINER)
    with pytest.raises(HubError) as refused:
        rollback.roll_back(actor=Actor(user=sam), promotion=promotion)
    assert (refused.value.status, refused.value.code) == (403, "source_hidden")
    assert "staging" not in refused.value.detail


def test_failure_is_hidden_from_those_who_cannot_see_the_source(
    staging: Channel, channel: Channel, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("The store could not copy staging/noarch/lib-1.0-0.conda")

    monkeypatch.setattr(FolderStore, "copy", fail)
    with pytest.raises(StoreError):
        promote(staging, channel, olga)
    shown = {user: queries.promotions(channel, Actor(user=user)).get().shown_failure for user in (olga, sam)}  # type: ignore[attr-defined]
    assert ("staging" in shown[olga], "staging" in shown[sam]) == (True, False)


def test_origin_of_a_file_is_known_beside_unchanged_ones(staging: Channel, channel: Channel, olga: User) -> None:
    first = promote(staging, channel, olga, {"version": "1.0"})
    second = promote(staging, channel, olga)
    origins = {each.file_name: queries.origin(each) for each in channel.artifacts.all()}
    assert origins == {ALL[0]: first, ALL[1]: first, ALL[2]: second}
