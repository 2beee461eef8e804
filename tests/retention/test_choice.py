"""The choice of retention, without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from publishing.retention.choice import File, choose
from publishing.retention.rules import BadRule, Rule, check

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def file(version: str = "1.0", *, days: float = 100, used_days: int | None = None, **values: Any) -> File:
    """Return a file that was published `days` ago, and downloaded last `used_days` ago."""
    used_on = (ago(days) if used_days is None else ago(used_days)).date()
    fields: dict[str, Any] = {
        "id": 0,
        "name": "demo",
        "subdir": "noarch",
        "build": "0",
        "build_number": 0,
        "size_bytes": 1,
    }
    fields |= {"removed_at": None, "yanks": {}, "published_at": ago(days), "used_on": used_on, "version": version}
    fields |= values
    name = f"{fields['name']}-{fields['version']}-{fields['build']}.conda"
    return File(**{"file_name": name} | fields)


def rule(**values: Any) -> Rule:
    given: dict[str, Any] = {"id": 1, "title": "old"} | values
    return Rule(**given)


def chosen(files: list[File], *rules: Rule) -> list[tuple[str, str]]:
    return [(found.act.value, found.file.file_name) for found in choose(files, rules, NOW)]


def versions(files: list[File], *rules: Rule) -> list[str]:
    return [found.file.version for found in choose(files, rules, NOW)]


def test_versions_are_kept_in_the_order_of_conda() -> None:
    files = [file(version) for version in ("1.9", "1.10", "1.10rc1", "1.10.0", "1!0.1")]
    assert versions(files, rule(keep_versions=2)) == ["1.9", "1.10rc1"]


def test_versions_are_counted_within_name_and_subdir() -> None:
    files = [file("1.0"), file("2.0"), file("1.0", subdir="linux-64"), file("1.0", name="other")]
    assert chosen(files, rule(keep_versions=1)) == [("yank", "demo-1.0-0.conda")]


def test_builds_are_kept_by_version_build_number_and_time() -> None:
    files = [
        file("1.0", build="a_9", build_number=9),
        file("2.0", build="b_0", build_number=0, days=1),
        file("2.0", build="c_1", build_number=1, days=9),
        file("2.0", build="d_1", build_number=1, days=8),
    ]
    kept = rule(keep_builds=2)
    assert [found.file.build for found in choose(files, [kept], NOW)] == ["a_9", "b_0"]


def test_build_with_two_files_counts_once() -> None:
    both = [file("2.0"), file("2.0", file_name="demo-2.0-0.tar.bz2")]
    assert chosen([file("1.0"), *both], rule(keep_builds=2)) == []
    assert chosen([file("1.0"), *both], rule(keep_builds=1)) == [("yank", "demo-1.0-0.conda")]


@pytest.mark.parametrize(("days", "goes"), [(29.9, False), (30, True), (-1, False)])
def test_file_goes_at_its_age(days: float, goes: bool) -> None:
    assert bool(chosen([file(days=days)], rule(older_than_days=30))) == goes


@pytest.mark.parametrize(("used_days", "goes"), [(30, False), (31, True), (None, True)])
def test_file_goes_after_whole_days_without_a_download(used_days: int | None, goes: bool) -> None:
    assert bool(chosen([file(used_days=used_days)], rule(unused_days=30))) == goes


def test_new_file_without_downloads_stays() -> None:
    assert chosen([file(days=5)], rule(unused_days=30)) == []


def test_all_conditions_of_a_rule_hold_for_a_file_that_goes() -> None:
    files = [file("1.0"), file("2.0", days=10), file("3.0", days=5), file("4.0", days=1)]
    [found] = choose(files, [rule(keep_versions=2, older_than_days=30, unused_days=60)], NOW)
    assert (found.file.version, found.reason) == (
        "1.0",
        "3 newer versions, published 100 days ago, no download for 60 days",
    )


def test_rule_is_about_its_names() -> None:
    files = [file(name="py-a"), file(name="pyx"), file(name="lib")]
    assert chosen(files, rule(names=["py-*", "lib"], older_than_days=1)) == [
        ("yank", "py-a-1.0-0.conda"),
        ("yank", "lib-1.0-0.conda"),
    ]


def test_protections_hold_against_all_rules() -> None:
    files = [file("1.0"), file("2.0"), file("3.0"), file(name="lib"), file(name="other")]
    protecting = rule(id=2, names=["demo"], protected_names=["lib*"], protected_versions=["1.*", ">=3"], keep_builds=9)
    assert chosen(files, rule(older_than_days=1), protecting) == [
        ("yank", "demo-2.0-0.conda"),
        ("yank", "other-1.0-0.conda"),
    ]


def test_first_rule_that_picks_a_file_yanks_it() -> None:
    first, second = rule(id=1, keep_versions=1), rule(id=2, older_than_days=1)
    found = choose([file("1.0"), file("2.0")], [first, second], NOW)
    assert [(each.file.version, each.rule.id) for each in found] == [("1.0", 1), ("2.0", 2)]


def test_restored_file_is_not_yanked_again_by_the_same_rule() -> None:
    restored = file(yanks={1: ago(9)})
    assert chosen([restored], rule(older_than_days=1)) == []
    assert chosen([restored], rule(id=2, older_than_days=1)) == [("yank", "demo-1.0-0.conda")]


@pytest.mark.parametrize(("days", "goes"), [(6.9, False), (7, True)])
def test_yanked_file_is_deleted_after_days(days: float, goes: bool) -> None:
    yanked = file(removed_at=ago(days), yanks={1: ago(days)})
    assert chosen([yanked], rule(older_than_days=1, delete_after_days=7)) == goes * [("delete", "demo-1.0-0.conda")]
    assert chosen([yanked], rule(older_than_days=1)) == []


def test_file_that_a_person_yanked_is_not_deleted() -> None:
    once_restored = file(removed_at=ago(9), yanks={1: ago(30)})
    by_another_rule = file(removed_at=ago(9), yanks={2: ago(9)})
    assert chosen([once_restored, by_another_rule], rule(older_than_days=1, delete_after_days=7)) == []


@pytest.mark.parametrize(
    ("values", "goes"),
    [
        ({"keep_versions": 2}, True),
        ({"keep_versions": 3}, False),
        ({"unused_days": 2}, True),
        ({"unused_days": 30}, False),
        ({"older_than_days": 101}, False),
        ({"older_than_days": 1, "protected_versions": ["1.0"]}, False),
        ({"older_than_days": 1, "names": ["other"]}, False),
    ],
)
def test_yanked_file_is_deleted_if_the_rule_still_picks_it(values: dict[str, Any], goes: bool) -> None:
    yanked = file("1.0", removed_at=ago(9), yanks={1: ago(9)}, used_days=3)
    acts = chosen([yanked, file("2.0"), file("3.0")], rule(delete_after_days=7, **values))
    assert (("delete", "demo-1.0-0.conda") in acts) == goes


def test_yanked_versions_are_not_counted_as_newer() -> None:
    yanked = file("2.0", removed_at=ago(1), yanks={1: ago(1)})
    assert chosen([file("1.0"), yanked], rule(keep_versions=1)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"title": "a\nb"},
        {"title": "x" * 201},
        {"older_than_days": None},
        {"older_than_days": 0},
        {"keep_versions": 0},
        {"keep_builds": 10_001},
        {"unused_days": 3651},
        {"delete_after_days": 0},
        {"names": ["Big"]},
        {"names": ["a b"]},
        {"names": ["a"] * 51},
        {"protected_names": ["x" * 200]},
        {"protected_versions": [">="]},
        {"protected_versions": [""]},
    ],
)
def test_bad_rule_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(BadRule):
        check(rule(**{"older_than_days": 9} | values))


def test_rule_picks_files_by_their_labels() -> None:
    files = [
        file(f"{number}.0", labels=frozenset(labels))
        for number, labels in enumerate((["main"], ["dev"], ["main", "pr-1"], ["pr-2"]))
    ]
    for values, picked in (
        ({"labels": ["main"]}, ["0.0", "2.0"]),
        ({"labels": ["dev", "pr-*"]}, ["1.0", "2.0", "3.0"]),
        ({"without_labels": ["main"]}, ["1.0", "3.0"]),
        ({"labels": ["pr-*"], "without_labels": ["main"]}, ["3.0"]),
        ({"protected_labels": ["pr-?"]}, ["0.0", "1.0"]),
    ):
        assert versions(files, rule(older_than_days=1, **values)) == picked


def test_versions_and_builds_count_among_the_labels_of_the_rule() -> None:
    files = [
        file(f"{number}.0", labels=frozenset([label])) for number, label in enumerate(["dev", "dev", "dev", "main"])
    ]
    for keep in ("keep_versions", "keep_builds"):
        assert versions(files, rule(labels=["dev"], **{keep: 2})) == ["0.0"]
        assert versions(files, rule(**{keep: 2})) == ["0.0", "1.0"]


def test_protected_label_holds_against_all_rules() -> None:
    files = [file("1.0", labels=frozenset(["main", "lts"])), file("2.0", labels=frozenset(["main"]))]
    assert versions(files, rule(older_than_days=1), rule(id=2, names=["x"], protected_labels=["lts"])) == ["2.0"]


def test_yanked_file_is_not_deleted_with_another_label() -> None:
    at = ago(9)
    dev, main = (file(labels=frozenset([label]), removed_at=at, yanks={1: at}) for label in ("dev", "main"))
    assert chosen([dev], rule(labels=["dev"], older_than_days=1, delete_after_days=2)) == [("delete", dev.file_name)]
    assert chosen([main], rule(labels=["dev"], older_than_days=1, delete_after_days=2)) == []
