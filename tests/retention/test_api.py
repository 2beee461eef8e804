"""`/api/v1/channels/CHANNEL/retention-rules` and `…/retention-plan`."""

from typing import Any

import pytest

from channels_app.models import Artifact, Channel, RetentionRule, User
from channels_app.packages import packages
from tests.builders import make_artifact, make_channel, make_label
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
RULES = "channels/demo/retention-rules"
PLAN = "channels/demo/retention-plan"


def body(**values: Any) -> dict[str, Any]:
    return {"title": "old", "keep_versions": 1} | values


def make_versions(channel: Channel) -> None:
    for version in ("1.0", "2.0"):
        make_artifact(channel, "demo", version)


def test_rule_is_tried_added_listed_changed_and_removed(channel: Channel, olga: User) -> None:
    make_versions(channel)
    caller = by_session(olga)
    dry = caller.post(RULES, body(dry_run=True))
    gone = {"act": "yank", "subdir": "noarch", "file_name": "demo-1.0-0.conda", "size_bytes": 1000}
    assert (dry.status_code, dry.json()["rule"]) == (200, None)
    assert dry.json()["plan"]["files"] == [gone | {"rule_id": None, "reason": "1 newer version"}]
    assert not RetentionRule.objects.exists()

    added = caller.post(RULES, body(protected_versions=[">=9"], delete_after_days=7))
    assert (added.status_code, added.json()["plan"]) == (201, None)
    path = added.headers["Location"].removeprefix("/api/v1/")
    assert caller.get(RULES).json()["items"] == [caller.get(path).json()] == [added.json()["rule"]]
    plan = caller.get(PLAN).json()
    assert (plan["yanked"], plan["deleted"]) == (1, 0)
    assert plan["files"][0]["rule_id"] == added.json()["rule"]["id"]

    dry = caller.put(path, body(keep_versions=2, dry_run=True))
    assert (dry.json()["plan"]["files"], RetentionRule.objects.get().keep_versions) == ([], 1)
    changed = caller.put(path, body(keep_versions=2))
    assert (changed.json()["rule"]["keep_versions"], changed.json()["rule"]["delete_after_days"]) == (2, None)
    assert caller.delete(path).status_code == 204
    assert code(caller.get(path)) == (404, "no_such_rule")
    assert set(Artifact.objects.values_list("removal", flat=True)) == {""}


def test_change_with_old_etag_is_refused(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    path = caller.post(RULES, body()).headers["Location"].removeprefix("/api/v1/")
    etag = caller.get(path).headers["ETag"]
    assert caller.put(path, body(title="other"), **{"If-Match": etag}).status_code == 200
    assert code(caller.put(path, body(), **{"If-Match": etag})) == (412, "changed_meanwhile")


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"keep_versions": None},
        {"keep_versions": 0},
        {"older_than_days": 3651},
        {"names": ["No Name"]},
        {"protected_versions": [">="]},
        {"delete_after_days": 0},
        {"label": []},
        {"labels": ["No Label"]},
        {"without_labels": [""]},
        {"protected_labels": ["x" * 65]},
    ],
)
def test_bad_rule_is_refused(channel: Channel, olga: User, values: dict[str, Any]) -> None:
    for dry_run in (True, False):
        assert code(by_session(olga).post(RULES, body(dry_run=dry_run, **values)))[0] == 422
    assert not RetentionRule.objects.exists()


def test_keys_read_rules_and_the_plan_and_change_none(channel: Channel, olga: User) -> None:
    make_versions(channel)
    manager = by_key(olga, "manage")
    assert manager.get(RULES).status_code == 200
    assert code(manager.get(PLAN)) == (403, "scope_missing")
    assert by_key(olga, "read", "manage").get(PLAN).status_code == 200
    for dry_run in (True, False):
        assert code(manager.post(RULES, body(dry_run=dry_run))) == (403, "person_needed")


def test_plan_has_packages_that_lose_a_dependency(channel: Channel, olga: User) -> None:
    make_versions(channel)
    for name, spec in (("any", "demo"), ("pinned", "demo <2")):
        packages.refresh(make_artifact(channel, name, index_json={"depends": [spec]}).package)
    dry = by_session(olga).post(RULES, body(dry_run=True)).json()["plan"]["dependents"]
    lost = [{"spec": "demo <2", "subdirs": ["noarch"]}]
    broken = [{"channel": "demo", "name": "pinned", "version": "1.0", "lost": lost}]
    assert dry == {"broken": broken, "kept": 1, "is_complete": True}
    by_session(olga).post(RULES, body())
    assert by_session(olga).get(PLAN).json()["dependents"] == dry


def test_rule_of_another_channel_is_not_found(channel: Channel, olga: User, sam: User) -> None:
    make_channel("sams", owner=sam)
    rule_id = by_session(olga).post(RULES, body()).json()["rule"]["id"]
    path = f"channels/sams/retention-rules/{rule_id}"
    caller = by_session(sam)
    for answer in (
        caller.get(path),
        caller.put(path, body()),
        caller.put(path, body(dry_run=True)),
        caller.delete(path),
    ):
        assert code(answer) == (404, "no_such_rule")
    assert RetentionRule.objects.count() == 1


def test_rule_by_labels_picks_files_with_one_and_without_others(channel: Channel, olga: User) -> None:
    for number, names in enumerate((["dev"], ["dev"], ["dev", "lts"], [])):
        artifact = make_artifact(channel, "demo", f"{number}.0", is_main=not names)
        for name in names:
            make_label(channel, name).artifacts.add(artifact)
    rule = body(labels=["d*"], without_labels=["main"], protected_labels=["lts"])
    plan = by_session(olga).post(RULES, rule | {"dry_run": True}).json()["plan"]
    assert [(file["file_name"], file["reason"]) for file in plan["files"]] == [
        ("demo-0.0-0.conda", "2 newer versions"),
        ("demo-1.0-0.conda", "1 newer version"),
    ]
    added = by_session(olga).post(RULES, rule).json()["rule"]
    assert (added["labels"], added["without_labels"], added["protected_labels"]) == (["d*"], ["main"], ["lts"])
