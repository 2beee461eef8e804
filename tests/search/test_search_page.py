"""Tests of the search page: groups, marks, empty results, paging, number of queries, and access."""

import re

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, User
from channels_app.search.views import CHANNELS_ABOVE_PACKAGES, PACKAGES_SUGGESTED, PAGE_SIZE
from channels_app.templatetags.hub import marked
from tests.builders import make_artifact, make_channel, make_package

pytestmark = pytest.mark.django_db


@pytest.fixture
def public(olga: User) -> Channel:
    return make_channel("science", owner=olga, is_private=False, description="Arrays and plots for physicists")


def test_the_page_groups_marks_and_escapes(client: Client, public: Channel) -> None:
    make_package(public, "sci-<b>", "about <i>science</i>")

    page = client.get("/search", {"q": "science"}).content.decode()

    assert '<h2 class="mono"><a href="/channels/science"><mark>science</mark></a></h2>' in page
    assert "about &lt;i&gt;<mark>science</mark>&lt;/i&gt;" in page
    assert "<i>" not in page


def test_the_page_without_a_question_and_without_an_answer(client: Client, public: Channel, sam: User) -> None:
    assert "<h2>Search packages and channels</h2>" in client.get("/search").content.decode()
    nothing = client.get("/search", {"q": "no-such-thing"}).content.decode()
    assert "No results for “no-such-thing”" in nothing
    assert "Sign in to search private channels, too" in nothing

    client.force_login(sam)
    assert "Private channels" not in client.get("/search", {"q": "no-such-thing"}).content.decode()


def test_private_things_leave_no_trace_on_a_strangers_page(client: Client, channel: Channel) -> None:
    make_package(channel, "secret-sauce")

    page = client.get("/search", {"q": "secret-sauce"}).content.decode()
    by_channel = client.get("/search", {"q": channel.name}).content.decode()

    assert "No results for" in page
    assert "No results for" in by_channel


def test_many_packages_come_page_by_page(client: Client, public: Channel) -> None:
    for n in range(PAGE_SIZE + 1):
        make_package(public, f"many-{n:02}")

    first, second = (client.get("/search", {"q": "many", "page": n}).content.decode() for n in (1, 2))

    assert f"Packages 1 to {PAGE_SIZE} of {PAGE_SIZE + 1}" in first
    assert "q=many&amp;page=2" in first
    assert f"<mark>many</mark>-{PAGE_SIZE}</a>" in second
    assert client.get("/search", {"q": "many", "page": "nonsense"}).status_code == 200


def test_many_channels_stand_on_a_page_of_their_own(client: Client) -> None:
    for n in range(CHANNELS_ABOVE_PACKAGES + 1):
        make_channel(f"many-{n}", is_private=False)

    page = client.get("/search", {"q": "many"}).content.decode()
    channels = client.get("/search", {"q": "many", "kind": "channels"}).content.decode()

    assert page.count("<article") == CHANNELS_ABOVE_PACKAGES
    assert "kind=channels" in page
    assert channels.count("<article") == CHANNELS_ABOVE_PACKAGES + 1


@pytest.mark.parametrize("packages", [2, 20])
def test_the_page_costs_as_many_queries_for_20_packages_as_for_2(
    django_assert_num_queries: DjangoAssertNumQueries, client: Client, public: Channel, olga: User, packages: int
) -> None:
    for n in range(packages):
        make_artifact(public, f"science-{n}")
        make_channel(f"science-of-{n}", is_private=False)
    client.force_login(olga)

    with django_assert_num_queries(6):  # session, user; packages, their number; channels, their number
        assert client.get("/search", {"q": "science"}).status_code == 200


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_page_is_only_read(client: Client, method: str) -> None:
    assert getattr(client, method)("/search").status_code == 405


def test_marking_prefers_the_longer_word_and_escapes_all() -> None:
    assert marked("Numpyro <&>", ["num", "numpyro", "&"]) == "<mark>Numpyro</mark> &lt;<mark>&amp;</mark>&gt;"
    assert marked("a.b", ["."]) == "a<mark>.</mark>b"
    assert marked("<b>", []) == "&lt;b&gt;"


def options(page: str, name: str) -> list[str]:
    """Return the choices of a filter; the selected one begins with a star."""
    select = page.partition(f'<select class="auto" name="{name}"')[2].partition("</select>")[0]
    found = re.findall(r"<option(?: value=\"[^\"]*\")?( selected)?>([^<]*)", select)
    return [f"*{text}" if is_selected else text for is_selected, text in found]


def test_filters_narrow_and_order_the_packages(client: Client, public: Channel, channel: Channel) -> None:
    other = make_channel("other", is_private=False)
    make_package(public, "tool", download_count=1)
    make_artifact(other, "tool-b", subdir="win-64")
    make_package(channel, "tool-hidden")
    page = client.get("/search?q=tool&order=downloads&platform=win-64").content.decode()
    assert options(page, "order") == ["Best match", "*Most downloads", "Recently updated", "Name"]
    assert options(page, "channel") == ["All channels", "other"]
    assert "*win-64" in options(page, "platform")
    assert ("tool</mark>-b" in page, "science" in page) == (True, False)
    page = client.get("/search?q=tool&channel=science&platform=odd").content.decode()
    assert (options(page, "channel")[1:], options(page, "platform")[-1]) == (["*science"], "*odd")
    assert "No packages match" in page


def test_channels_are_left_out_of_a_narrowed_search(client: Client, public: Channel) -> None:
    make_package(public, "science-kit")
    assert 'aria-labelledby="channels"' in client.get("/search?q=science").content.decode()
    assert 'aria-labelledby="channels"' not in client.get("/search?q=science&channel=science").content.decode()


@pytest.mark.parametrize("query", ["order=x", "order=", "channel=%00", "platform=%00", f"channel={'x' * 5000}"])
def test_odd_filters_are_no_error(client: Client, public: Channel, query: str) -> None:
    assert client.get(f"/search?q=science&{query}").status_code == 200


def test_suggestions_name_packages_then_channels_with_their_pages(client: Client, public: Channel) -> None:
    make_package(public, "sci-kit", download_count=1)
    assert client.get("/search/suggestions?q=sci").json() == {
        "suggestions": [
            {"name": "sci-kit", "in": "science", "url": "/channels/science/packages/sci-kit"},
            {"name": "science", "in": "channel", "url": "/channels/science"},
        ]
    }
    assert client.get("/search/suggestions").json() == {"suggestions": []}


def test_private_names_are_suggested_to_members_alone(client: Client, channel: Channel, olga: User, sam: User) -> None:
    make_package(channel, "demo-secret")
    found = {}
    for user in (olga, sam, None):
        if user:
            client.force_login(user)
        else:
            client.logout()
        found[user] = [each["name"] for each in client.get("/search/suggestions?q=demo").json()["suggestions"]]
    assert found == {olga: ["demo-secret", "demo"], sam: [], None: []}


@pytest.mark.parametrize("count", [1, 30])
def test_suggestions_cost_two_queries(
    client: Client, public: Channel, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        make_package(public, f"sci-{number}")
    with django_assert_num_queries(2):
        assert len(client.get("/search/suggestions?q=sci").json()["suggestions"]) == min(count, PACKAGES_SUGGESTED) + 1
