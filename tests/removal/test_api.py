"""The REST API of one artifact, and of yanks, restores and deletions of selections."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from channels_app.audit import notifications
from channels_app.models import Artifact, AuditEvent, Channel, Outgoing, Package, Removal, Role, User
from channels_app.packages import packages
from publishing.models import SubdirIndex
from publishing.removal import removal
from tests.builders import make_artifact, make_key, make_member, make_robot
from tests.callers import bearing
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db
FILE = "channels/demo/artifacts/noarch/demo-1.0-0.conda"


@pytest.fixture
def deleter(channel: Channel, olga: User) -> Caller:
    return by_key(olga, "read", "delete")


def fill(channel: Channel, files: int, name: str = "demo", **fields: Any) -> None:
    for number in range(files):
        make_artifact(channel, name, f"1.{number}", **fields)
    packages.refresh(Package.objects.get(channel=channel, name=name))


def states() -> dict[str, str]:
    return dict(Artifact.objects.values_list("file_name", "removal"))


def revisions() -> dict[str, int]:
    return dict(SubdirIndex.objects.values_list("subdir", "requested_revision"))


def files(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.content
    return [(each["file_name"], each["result"]) for each in answer.json()["files"]]


def test_artifact_has_its_record_and_documents(channel: Channel, deleter: Caller, olga: User) -> None:
    artifact = make_artifact(
        channel, about_json={"summary": "s"}, files=[["a/b", 3]], file_count=1, index_json={"timestamp": 5}
    )
    found = deleter.get(FILE).json()
    assert (found["name"], found["state"], found["sha256"]) == ("demo", "listed", artifact.sha256)
    assert found["record"]["size"] == 1000
    assert found["about"] == {"summary": "s"}
    assert found["files"] == [["a/b", 3]]
    path = found["documents"]["index.json"].partition("/channels/")[2]
    assert deleter.client.get(f"/channels/{path}").getvalue().startswith(b"{")


def test_long_documents_of_an_artifact_are_left_out(channel: Channel, deleter: Caller) -> None:
    make_artifact(channel, files=[[f"path/{number}", 1] for number in range(3000)], index_json={"x": "y" * 30_000})
    found = deleter.get(FILE).json()
    assert (found["record"], found["files"]) == (None, None)


@pytest.mark.parametrize("is_nested", [False, True])
def test_thousands_of_unknown_members_get_one_error(deleter: Caller, is_nested: bool) -> None:
    """An error for each of the 90,000 that fit into a body took a second."""
    many = {f"k{number}": 1 for number in range(1000)}
    wanted = {"action": "yank", "filter": many} if is_nested else many
    answer = deleter.post("channels/demo/removals", wanted)
    assert code(answer) == (422, "invalid_value")
    assert "at most 100 members" in answer.json()["detail"]


def test_unknown_artifact_is_404(channel: Channel, deleter: Caller) -> None:
    for method, path in (("GET", FILE), ("DELETE", FILE), ("POST", f"{FILE}/yank"), ("POST", f"{FILE}/restore")):
        assert code(deleter.call(method, path)) == (404, "no_such_file")


def test_artifact_is_yanked_deleted_and_restored(channel: Channel, deleter: Caller) -> None:
    fill(channel, 1)
    yanked = deleter.post(f"{FILE}/yank", {"reason": "broken"}).json()
    assert (yanked["state"], yanked["removal_reason"], yanked["removed_by"]) == ("yanked", "broken", "olga")
    assert deleter.call("DELETE", f"{FILE}?reason=secret").status_code == 204
    deleted = deleter.get(FILE).json()
    assert (deleted["state"], deleted["removal_reason"]) == ("deleted", "secret")
    assert deleted["purge_at"] > deleted["removed_at"]
    assert deleter.post(f"{FILE}/restore").json()["state"] == "listed"
    actions = AuditEvent.objects.filter(action__startswith="artifact.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["artifact.yank", "artifact.delete", "artifact.restore"]


def test_repeated_change_of_an_artifact_records_one_event(channel: Channel, deleter: Caller) -> None:
    fill(channel, 1)
    for _ in range(2):
        assert deleter.post(f"{FILE}/yank").json()["state"] == "yanked"
    for _ in range(2):
        assert deleter.delete(FILE).status_code == 204
    for _ in range(2):
        assert deleter.post(f"{FILE}/restore").json()["state"] == "listed"
    assert AuditEvent.objects.filter(action__startswith="artifact.").count() == 3


def test_deleted_artifact_is_not_yanked_and_a_purged_one_not_restored(channel: Channel, deleter: Caller) -> None:
    fill(channel, 1)
    deleter.delete(FILE)
    assert code(deleter.post(f"{FILE}/yank")) == (409, "deleted")
    Artifact.objects.update(is_purged=True)
    assert code(deleter.post(f"{FILE}/restore")) == (409, "purged")
    assert states() == {"demo-1.0-0.conda": "deleted"}


def test_only_the_session_of_an_owner_releases_a_name(channel: Channel, deleter: Caller, olga: User) -> None:
    fill(channel, 1)
    deleter.delete(FILE)
    assert code(by_key(olga, "read", "upload", "delete", "manage").post(f"{FILE}/release"))[0] == 403
    assert by_session(olga).post(f"{FILE}/release").status_code == 204
    assert not Artifact.objects.exists()


@pytest.mark.parametrize("body", [None, {"reason": ""}, {}])
def test_reason_of_a_yank_is_optional(channel: Channel, deleter: Caller, body: Any) -> None:
    fill(channel, 1)
    assert deleter.post(f"{FILE}/yank", body).json()["removal_reason"] == ""


def test_a_hundred_files_are_yanked_by_one_index_change_for_each_subdir(channel: Channel, deleter: Caller) -> None:
    fill(channel, 50)
    fill(channel, 50, subdir="linux-64", build="a")
    fill(channel, 1, "other")
    before = revisions()
    wanted = {"action": "yank", "filter": {"name": "demo"}, "reason": "broken"}
    with CaptureQueriesContext(connection) as sent:
        found = files(deleter.post("channels/demo/removals", wanted))
    assert len(found) == 100
    assert {result for _, result in found} == {"yanked"}
    assert revisions() == {subdir: revision + 1 for subdir, revision in before.items()}
    assert states()["other-1.0-0.conda"] == ""
    assert Package.objects.get(name="demo").latest_version == ""
    assert AuditEvent.objects.filter(action="artifact.yank", actor__username="olga").count() == 100
    assert len(sent) < 40


@pytest.mark.parametrize(
    ("condition", "changed"),
    [
        ({"name": "demo"}, 3),
        ({"version": "1.0"}, 2),
        ({"version": "1.0", "name": "other"}, 1),
        ({"build": "a"}, 1),
        ({"subdir": "linux-64"}, 1),
        ({"file_name": "demo-1.1-0.conda"}, 1),
        ({"file_name": "demo-1.1-0.conda", "subdir": "linux-64"}, 0),
        ({"file_pattern": "*-1.?-*.conda"}, 4),
        ({"file_pattern": "demo-*", "version": "1.1"}, 1),
        ({"file_pattern": "demo-[0-9]*"}, 0),
        ({"state": "listed"}, 4),
        ({"state": "quarantined"}, 0),
        ({"uploaded_since": "2200-01-01T00:00:00Z"}, 0),
    ],
)
def test_selection_changes_the_artifacts_that_match_all_conditions(
    channel: Channel, deleter: Caller, condition: dict[str, str], changed: int
) -> None:
    fill(channel, 3)
    fill(channel, 1, "other", subdir="linux-64", build="a")
    found = files(deleter.post("channels/demo/removals", {"action": "delete", "filter": condition}))
    assert len(found) == changed
    assert list(states().values()).count("deleted") == changed


def test_dry_run_returns_the_same_and_leaves_the_files(channel: Channel, deleter: Caller) -> None:
    fill(channel, 3)
    before, wanted = revisions(), {"action": "yank", "filter": {"name": "demo"}}
    planned = files(deleter.post("channels/demo/removals", {**wanted, "dry_run": True}))
    assert set(states().values()) == {""}
    assert revisions() == before
    assert not AuditEvent.objects.filter(action="artifact.yank").exists()
    assert files(deleter.post("channels/demo/removals", wanted)) == planned


def test_selection_leaves_artifacts_to_whose_state_the_action_does_not_apply(channel: Channel, deleter: Caller) -> None:
    fill(channel, 1)
    fill(channel, 1, "gone", removal=Removal.DELETED)
    fill(channel, 1, "yanked", removal=Removal.YANKED)
    fill(channel, 1, "purged", removal=Removal.DELETED, is_purged=True)
    wanted: dict[str, Any] = {"action": "yank", "filter": {"version": "1.0"}}
    assert files(deleter.post("channels/demo/removals", wanted)) == [("demo-1.0-0.conda", "yanked")]
    assert files(deleter.post("channels/demo/removals", wanted)) == []
    assert files(deleter.post("channels/demo/removals", {**wanted, "action": "restore"})) == [
        ("demo-1.0-0.conda", "restored"),
        ("gone-1.0-0.conda", "restored"),
        ("yanked-1.0-0.conda", "restored"),
        ("purged-1.0-0.conda", "purged"),
    ]
    assert [name for name, state in states().items() if state] == ["purged-1.0-0.conda"]


def test_selection_of_too_many_artifacts_is_refused(
    channel: Channel, deleter: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "SELECTION_MAX", 2)
    fill(channel, 3)
    for dry_run in (True, False):
        wanted = {"action": "yank", "filter": {"name": "demo"}, "dry_run": dry_run}
        assert code(deleter.post("channels/demo/removals", wanted)) == (422, "selection_too_large")
    assert set(states().values()) == {""}


@pytest.mark.parametrize(
    "body",
    [
        {"action": "yank"},
        {"action": "yank", "filter": {}},
        {"action": "yank", "filter": {"name": ""}},
        {"action": "yank", "filter": {"name": "demo", "verison": "1.0"}},
        {"action": "yank", "filter": {"name": "demo"}, "dryrun": True},
        {"action": "release", "filter": {"name": "demo"}},
        {"action": "yank", "filter": {"name": "demo"}, "reason": "x" * 501},
    ],
)
def test_selection_with_a_bad_request_is_refused(channel: Channel, deleter: Caller, body: Any) -> None:
    fill(channel, 1)
    assert code(deleter.post("channels/demo/removals", body)) == (422, "invalid_value")
    assert set(states().values()) == {""}


@pytest.mark.parametrize("dry_run", [True, False])
def test_key_of_some_names_touches_no_selection_with_others(channel: Channel, olga: User, dry_run: bool) -> None:
    fill(channel, 1)
    fill(channel, 1, "other")
    caller = Caller(bearing(make_key(olga, scopes=("read", "delete"), package_globs=["de*"])))
    both = {"action": "yank", "filter": {"version": "1.0"}, "dry_run": dry_run}
    assert code(caller.post("channels/demo/removals", both)) == (403, "name_not_allowed")
    assert code(caller.delete(FILE.replace("demo-1", "other-1"))) == (403, "name_not_allowed")
    assert set(states().values()) == {""}
    own = {"action": "yank", "filter": {"name": "demo"}, "dry_run": dry_run}
    assert files(caller.post("channels/demo/removals", own)) == [("demo-1.0-0.conda", "yanked")]


def test_key_of_the_channel_removes_and_is_named_in_the_events(channel: Channel, olga: User) -> None:
    fill(channel, 2)
    caller = Caller(bearing(make_robot(channel, olga, scopes=("read", "delete"))))
    assert len(files(caller.post("channels/demo/removals", {"action": "delete", "filter": {"name": "demo"}}))) == 2
    assert [event.detail["by"] for event in AuditEvent.objects.filter(action="artifact.delete")] == ["nightly"] * 2


@pytest.mark.parametrize("scopes", [("read",), ("read", "upload", "manage")])
def test_key_without_the_scope_delete_is_refused(channel: Channel, olga: User, scopes: tuple[str, ...]) -> None:
    fill(channel, 1)
    caller = by_key(olga, *scopes)
    requests: list[tuple[str, str, Any]] = [
        ("POST", f"{FILE}/yank", None),
        ("POST", f"{FILE}/restore", None),
        ("DELETE", FILE, None),
    ]
    requests += [("POST", "channels/demo/removals", {"action": "yank", "filter": {"name": "demo"}})]
    for request in requests:
        assert code(caller.call(*request)) == (403, "scope_missing")
    assert set(states().values()) == {""}


def test_dry_run_needs_the_scope_read(channel: Channel, olga: User) -> None:
    fill(channel, 1)
    wanted = {"action": "yank", "filter": {"version": "1.0"}, "dry_run": True}
    assert code(by_key(olga, "delete").post("channels/demo/removals", wanted)) == (403, "scope_missing")


def test_contributor_and_stranger_are_refused(channel: Channel, max_: User, sam: User) -> None:
    fill(channel, 1)
    make_member(channel, max_, Role.CONTRIBUTOR)
    wanted = {"action": "yank", "filter": {"name": "demo"}}
    assert code(by_session(max_).post("channels/demo/removals", wanted)) == (403, "role_missing")
    assert code(by_session(sam).post("channels/demo/removals", wanted)) == (403, "no_access")
    assert code(Caller(Client()).post("channels/demo/removals", wanted)) == (401, "credential_needed")
    assert set(states().values()) == {""}


def test_restore_of_many_artifacts_sends_one_mail(channel: Channel, deleter: Caller, olga: User) -> None:
    fill(channel, 3, removal=Removal.YANKED)
    User.objects.update(email="olga@example.org")
    Outgoing.objects.all().delete()
    deleter.post("channels/demo/removals", {"action": "restore", "filter": {"name": "demo"}})
    [message] = Outgoing.objects.all()
    event = AuditEvent.objects.get(pk=message.args[0])
    assert (message.task, event.action, event.detail["more"]) == (notifications.TELL, "artifact.restore", 2)
    assert notifications.recipients(event.pk) == [olga.pk]
    assert AuditEvent.objects.filter(action="artifact.restore").count() == 3


def test_dry_run_names_the_packages_that_lose_a_dependency(channel: Channel, deleter: Caller) -> None:
    fill(channel, 1)
    make_artifact(channel, "user", "2.0", index_json={"depends": ["demo >=1.0"]})
    packages.refresh(Package.objects.get(channel=channel, name="user"))
    wanted: dict[str, Any] = {"action": "yank", "filter": {"name": "demo"}, "dry_run": True}
    user = {"channel": "demo", "name": "user", "version": "2.0"}
    assert deleter.post("channels/demo/removals", wanted).json()["dependents"] == {
        "broken": [{**user, "lost": [{"spec": "demo >=1.0", "subdirs": ["noarch"]}]}],
        "kept": 0,
        "is_complete": True,
    }
    assert deleter.post("channels/demo/removals", {**wanted, "action": "restore"}).json()["dependents"] is None
    changed = deleter.post("channels/demo/removals", {**wanted, "dry_run": False}).json()
    assert (changed["dependents"], changed["fingerprint"]) == (None, None)


def test_change_with_the_fingerprint_of_other_files_is_refused(channel: Channel, deleter: Caller) -> None:
    fill(channel, 2)
    wanted: dict[str, Any] = {"action": "yank", "filter": {"name": "demo"}}
    seen = deleter.post("channels/demo/removals", {**wanted, "dry_run": True}).json()["fingerprint"]
    fill(channel, 1, build="new")
    assert code(deleter.post("channels/demo/removals", {**wanted, "fingerprint": seen})) == (409, "selection_changed")
    assert set(states().values()) == {""}
    seen = deleter.post("channels/demo/removals", {**wanted, "dry_run": True}).json()["fingerprint"]
    assert len(files(deleter.post("channels/demo/removals", {**wanted, "fingerprint": seen}))) == 3
