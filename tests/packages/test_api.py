"""The REST API of packages, versions, artifacts and statistics."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from channels_app.models import Artifact, Channel, DailyDownloads, Package, Removal, Role, User
from channels_app.packages import packages, version_matrix
from tests.builders import make_artifact, make_channel, make_member
from tests.rest.calls import Caller, by_key, by_session, code

pytestmark = pytest.mark.django_db


def fill(channel: Channel, name: str = "demo", versions: int = 3, **fields: Any) -> list[Artifact]:
    artifacts = [make_artifact(channel, name, f"1.{number}", **fields) for number in range(versions)]
    packages.refresh(Package.objects.get(channel=channel, name=name))
    return artifacts


def every_item(caller: Caller, path: str) -> list[dict[str, Any]]:
    """Return the entries of all pages."""
    found: list[dict[str, Any]] = []
    while path:
        page = caller.get(path).json()
        found += page["items"]
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    return found


@pytest.fixture
def viewer(channel: Channel, max_: User) -> Caller:
    make_member(channel, max_, Role.VIEWER)
    return by_session(max_)


def test_packages_are_listed_by_name_and_filtered_by_words_and_subdir(channel: Channel, viewer: Caller) -> None:
    fill(channel, "tables", subdir="linux-64")
    fill(channel, "chairs")
    assert [package["name"] for package in every_item(viewer, "channels/demo/packages?limit=1")] == ["chairs", "tables"]
    [found] = viewer.get("channels/demo/packages?search=tab&subdir=linux-64").json()["items"]
    assert found["latest_version"] == "1.2"
    assert found["subdirs"] == ["linux-64"]
    assert viewer.get("channels/demo/packages?search=tab&subdir=noarch").json()["items"] == []


def test_package_has_metadata_of_its_latest_version(channel: Channel, viewer: Caller) -> None:
    about = {"description": "# Tables", "license": "MIT", "home": "https://example.org/"}
    fill(channel, about_json=about, index_json={"depends": ["wood >=2"]})
    fill(channel, "user", index_json={"depends": ["demo"]})
    found = viewer.get("channels/demo/packages/demo").json()
    assert (found["license"], found["description"]) == ("MIT", "# Tables")
    assert [link["href"] for link in found["links"]] == ["https://example.org/"]
    assert found["dependencies"] == [{"name": "wood", "constraints": [{"spec": ">=2", "subdirs": []}]}]
    assert found["dependents"] == ["user"]


def test_package_without_listed_files_has_no_metadata(channel: Channel, viewer: Caller) -> None:
    fill(channel, removal=Removal.YANKED)
    found = viewer.get("channels/demo/packages/demo").json()
    assert (found["latest_version"], found["license"], found["dependencies"]) == ("", "", [])


@pytest.mark.parametrize("path", ["packages/none", "packages/none/versions", "packages/none/statistics"])
def test_unknown_package_is_404(channel: Channel, viewer: Caller, path: str) -> None:
    assert code(viewer.get(f"channels/demo/{path}")) == (404, "no_such_package")


def test_versions_are_listed_in_the_order_of_conda(channel: Channel, viewer: Caller) -> None:
    for version in ("1.10", "1.9", "1.0", "1.0.0", "2.0rc1", "2.0"):
        make_artifact(channel, version=version)
    make_artifact(channel, version="2.0", subdir="linux-64", build="a")
    make_artifact(channel, version="2.0", subdir="linux-64", build="b", removal=Removal.YANKED)
    found = every_item(viewer, "channels/demo/packages/demo/versions?limit=2")
    assert [each["version"] for each in found] == ["2.0", "2.0rc1", "1.10", "1.9", "1.0.0", "1.0"]
    assert found[0]["builds"] == {"noarch": 1, "linux-64": 2}
    assert found[0]["is_listed"] is True


def test_versions_of_many_subdirs_are_all_listed(
    channel: Channel, viewer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_matrix, "CELLS_SHOWN", 4)
    for subdir in ("noarch", "linux-64"):
        fill(channel, versions=5, subdir=subdir)
    assert len(every_item(viewer, "channels/demo/packages/demo/versions")) == 5


@pytest.mark.parametrize("cursor", ["!", "%00"])
def test_versions_with_a_bad_cursor_are_refused(channel: Channel, viewer: Caller, cursor: str) -> None:
    fill(channel)
    status, _ = code(viewer.get(f"channels/demo/packages/demo/versions?cursor={cursor}"))
    assert status == 400


def test_artifacts_are_listed_newest_first_although_others_are_added(channel: Channel, viewer: Caller) -> None:
    fill(channel, versions=5)
    first = viewer.get("channels/demo/artifacts?limit=2").json()
    make_artifact(channel, "other")
    rest = every_item(viewer, first["next"].partition("/api/v1/")[2])
    assert [each["version"] for each in first["items"] + rest] == ["1.4", "1.3", "1.2", "1.1", "1.0"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("name=demo", 3),
        ("name=none", 0),
        ("version=1.1", 2),
        ("version=1.1&name=demo", 1),
        ("build=0", 5),
        ("subdir=linux-64", 2),
        ("file_name=demo-1.0-0.conda", 1),
        ("state=yanked", 2),
        ("state=listed", 3),
        ("state=quarantined", 0),
        ("uploaded_since=2026-10-01T00:00:00Z", 2),
        ("uploaded_before=2026-10-01T02:00:00%2B02:00", 3),
        ("uploaded_before=2026-10-01", 3),
    ],
)
def test_artifacts_are_filtered(channel: Channel, viewer: Caller, query: str, count: int) -> None:
    october = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp() * 1000)
    fill(channel, indexed_timestamp=october - 1)
    fill(channel, "other", 2, subdir="linux-64", indexed_timestamp=october, removal=Removal.YANKED)
    assert len(viewer.get(f"channels/demo/artifacts?{query}").json()["items"]) == count


@pytest.mark.parametrize(
    "query", ["state=new", "uploaded_since=yesterday", "uploaded_since=1790812800", "name=" + "x" * 201]
)
def test_artifacts_with_a_bad_filter_are_refused(channel: Channel, viewer: Caller, query: str) -> None:
    assert code(viewer.get(f"channels/demo/artifacts?{query}")) == (400, "invalid_value")


def test_deleted_artifacts_are_listed_for_those_who_may_delete(channel: Channel, viewer: Caller, olga: User) -> None:
    fill(channel, versions=1, removal=Removal.DELETED, removal_reason="broken", removed_by=olga)
    assert viewer.get("channels/demo/artifacts?state=deleted").json()["items"] == []
    [found] = by_key(olga, "read", "delete").get("channels/demo/artifacts").json()["items"]
    assert (found["state"], found["removal_reason"], found["removed_by"]) == ("deleted", "broken", "olga")


def test_list_of_artifacts_costs_the_same_for_any_number(channel: Channel, viewer: Caller, olga: User) -> None:
    def measured() -> tuple[int, bool]:
        with CaptureQueriesContext(connection) as sent:
            assert viewer.get("channels/demo/artifacts").status_code == 200
        return len(sent), any("about_json" in query["sql"] for query in sent)

    fill(channel, versions=2, uploaded_by=olga)
    few, is_heavy = measured()
    fill(channel, "other", versions=30, uploaded_by=olga, removed_by=olga, removal=Removal.YANKED)
    assert measured() == (few, False)
    assert not is_heavy


def test_statistics_have_downloads_of_each_day(channel: Channel, viewer: Caller) -> None:
    today = datetime.now(UTC).date()
    [artifact] = fill(channel, versions=1, download_count=12)
    Package.objects.update(download_count=12)
    for ago, count in ((0, 3), (1, 4), (100, 5)):
        DailyDownloads.objects.create(artifact=artifact, day=today - timedelta(days=ago), count=count)
    of_channel = viewer.get("channels/demo/statistics").json()
    assert (of_channel["packages"], of_channel["artifacts"], of_channel["downloads"]) == (1, 1, 12)
    assert of_channel["top_packages"] == [{"name": "demo", "download_count": 12}]
    of_package = viewer.get("channels/demo/packages/demo/statistics").json()
    assert of_package["daily"] == of_channel["daily"]
    assert [day["count"] for day in of_package["daily"]] == [0] * 88 + [4, 3]
    assert of_package["daily"][-1]["day"] == str(today)


def test_statistics_of_an_empty_channel_are_zero(channel: Channel, viewer: Caller) -> None:
    found = viewer.get("channels/demo/statistics").json()
    assert (found["packages"], found["downloads"], found["subdirs"], found["top_packages"]) == (0, 0, [], [])


@pytest.mark.parametrize("path", ["packages", "packages/demo", "packages/demo/versions", "artifacts", "statistics"])
def test_private_channel_is_hidden_from_strangers(channel: Channel, sam: User, path: str) -> None:
    fill(channel)
    assert code(by_session(sam).get(f"channels/demo/{path}")) == (403, "no_access")
    assert code(Caller(Client()).get(f"channels/demo/{path}")) == (401, "credential_needed")
    fill(make_channel("open", is_private=False))
    assert Caller(Client()).get(f"channels/open/{path}").status_code == 200
