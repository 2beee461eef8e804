"""The REST API of the search."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from channels_app.models import Channel, User
from tests.builders import make_artifact, make_channel, make_key, make_package
from tests.callers import bearing
from tests.rest.calls import Caller, by_session, code

pytestmark = pytest.mark.django_db


def test_search_returns_packages_and_channels_best_match_first(channel: Channel, olga: User) -> None:
    make_package(make_channel("tables", is_private=False), "wood", "for tables")
    make_package(channel, "tables-extra")
    make_package(channel, "tables")
    found = by_session(olga).get("search?q=tables").json()
    assert [(package["channel"], package["name"]) for package in found["packages"]] == [
        ("demo", "tables"),
        ("demo", "tables-extra"),
        ("tables", "wood"),
    ]
    assert [each["name"] for each in found["channels"]] == ["tables"]
    assert found["next"] is None


def test_search_with_pages_returns_each_package_once(channel: Channel, olga: User) -> None:
    for number in range(5):
        make_package(channel, f"table-{number}")
    caller, path, found = by_session(olga), "search?q=table&limit=2", []
    while path:
        page = caller.get(path).json()
        found += [package["name"] for package in page["packages"]]
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    assert found == [f"table-{number}" for number in range(5)]


def test_search_costs_the_same_for_any_number_of_matches(channel: Channel, olga: User) -> None:
    caller = by_session(olga)

    def queries() -> int:
        with CaptureQueriesContext(connection) as sent:
            caller.get("search?q=table")
        return len(sent)

    make_package(channel, "table")
    few = queries()
    for number in range(20):
        make_package(channel, f"table-{number}")
    assert queries() == few


def test_search_hides_packages_of_channels_that_the_credential_cannot_read(
    channel: Channel, olga: User, sam: User
) -> None:
    make_package(channel, "table")
    upload_key = bearing(make_key(olga, scopes=("upload",)))
    for caller in (by_session(sam), Caller(Client()), Caller(upload_key)):
        found = caller.get("search?q=table").json()
        assert (found["packages"], found["channels"]) == ([], [])


def test_search_without_words_finds_no_package(channel: Channel, olga: User) -> None:
    make_package(channel, "table")
    assert by_session(olga).get("search?q=%20").json()["packages"] == []


@pytest.mark.parametrize("query", ["", "q=a&limit=0", "q=a&limit=101", "q=a&page=0", "q=a&page=101", "q=a&order=x"])
def test_search_with_a_bad_query_is_refused(olga: User, query: str) -> None:
    assert code(by_session(olga).get(f"search?{query}")) == (400, "invalid_value")


def test_search_is_narrowed_to_a_channel_and_a_subdir_and_ordered(channel: Channel, olga: User) -> None:
    other = make_channel("other", is_private=False)
    for number, each in enumerate((channel, other)):
        make_package(each, "table", download_count=number)
        make_artifact(each, f"table-{each}", subdir="linux-64")
    caller = by_session(olga)

    def found(query: str) -> list[str]:
        answer = caller.get(f"search?q=table&{query}").json()
        assert answer["channels"] == []
        return [f"{package['channel']}/{package['name']}" for package in answer["packages"]]

    assert found("channel=demo") == ["demo/table", "demo/table-demo"]
    assert found("subdir=linux-64&order=name") == ["demo/table-demo", "other/table-other"]
    assert found("order=downloads")[0] == "other/table"
    assert found("channel=missing") == found("subdir=win-64") == []


def test_search_within_a_hidden_channel_is_answered_like_a_missing_one(channel: Channel, sam: User) -> None:
    make_package(channel, "table")
    caller = by_session(sam)
    assert caller.get("search?q=table&channel=demo").json() == caller.get("search?q=table&channel=missing").json()


def test_search_without_results_returns_similar_names(channel: Channel, olga: User) -> None:
    make_package(channel, "numpy")
    assert by_session(olga).get("search?q=nunpy").json()["similar_names"] == ["numpy"]
    assert by_session(olga).get("search?q=numpy").json()["similar_names"] == []
