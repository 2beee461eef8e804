"""Tests of the search: results, order, access, and hostile input."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.authentication import api_keys
from channels_app.models import Channel, Package, Role, User
from channels_app.search import indexes
from channels_app.search.queries import (
    Order,
    count_by_channel,
    find_channels,
    find_packages,
    similar_names,
    suggested_channels,
    suggestions,
)
from tests.builders import make_artifact, make_channel, make_key, make_member, make_package

pytestmark = pytest.mark.django_db

ODD_TEXTS = [
    *('"', "''", "'; DROP TABLE channels_app_package; --", "%", "_", "\\", "\\'", "a", "ab", "a b c", "x" * 10_240),
    *(
        "NEAR(a b)",
        "numpy AND OR NOT",
        "name:numpy",
        "num*",
        "-numpy",
        "^numpy",
        "(((",
        "{a b}:c",
        "a & b | !c <-> d:*",
    ),
    *(
        "\0",
        "num\0py",
        "🦀",
        "🦀🦀🦀🦀",
        "Ünïcödé",
        "İstanbul",
        "\u202enumpy",
        "word " * 2_048,
        "<script>alert(1)</script>",
    ),
]


def names(actor: Actor, text: str, **filters: Any) -> list[str]:
    return [package.name for package in find_packages(actor, text, **filters)]


@pytest.fixture
def public(olga: User) -> Channel:
    return make_channel("science", owner=olga, is_private=False, description="Arrays and plots for physicists")


@pytest.fixture
def numpies(public: Channel) -> Channel:
    make_package(public, "numpy-base", "Headers alone")
    make_package(public, "xnumpy", "Extended")
    make_package(public, "numpy", "The fundamental package for arrays")
    make_package(public, "a-long-name-around-numpy-and-more")
    make_package(public, "xarray", "Labelled arrays, built on numpy")
    make_package(public, "ripgrep", "Searches directories")
    return public


def test_results_are_exact_names_then_prefixes_then_descriptions(numpies: Channel) -> None:
    assert names(ANONYMOUS, "numpy") == [
        "numpy",
        "numpy-base",
        "xnumpy",
        "a-long-name-around-numpy-and-more",
        "xarray",
    ]


@pytest.mark.parametrize("text", ["NumPy", "  numpy  ", "\tnumpy\n"])
def test_capital_letters_and_blanks_around_do_not_matter(numpies: Channel, text: str) -> None:
    assert names(ANONYMOUS, text)[0] == "numpy"


def test_every_word_must_be_found_in_the_name_or_the_summary(numpies: Channel) -> None:
    assert names(ANONYMOUS, "numpy arrays") == ["numpy", "xarray"]
    assert names(ANONYMOUS, "arrays nothing") == []


def test_one_or_two_characters_find_names_that_begin_so(numpies: Channel) -> None:
    assert names(ANONYMOUS, "x") == ["xarray", "xnumpy"]
    assert names(ANONYMOUS, "xa") == ["xarray"]
    assert names(ANONYMOUS, "of") == []


def test_short_words_beside_long_ones_narrow_the_search(numpies: Channel) -> None:
    assert names(ANONYMOUS, "numpy bu") == ["xarray"]


def test_of_equally_good_packages_the_more_downloaded_comes_first(public: Channel, olga: User) -> None:
    other = make_channel("other", is_private=False)
    make_package(public, "same", download_count=1)
    make_package(other, "same", download_count=7)

    assert [package.channel.name for package in find_packages(ANONYMOUS, "same")] == ["other", "science"]


def test_like_has_no_wildcards_here(public: Channel) -> None:
    make_package(public, "under_score")
    make_package(public, "underxscore", download_count=9)

    assert names(ANONYMOUS, "under_score")[0] == "under_score"
    assert names(ANONYMOUS, "%") == []


@pytest.mark.parametrize("text", ["scikit-learn", "scikit_learn", "Scikit.Learn", "scikit learn"])
def test_separators_of_names_count_as_equal(public: Channel, text: str) -> None:
    make_package(public, "learn-scikit", download_count=9)
    make_package(public, "scikit-learn-extra", download_count=9)
    make_package(public, "scikit-learn")

    assert names(ANONYMOUS, text) == ["scikit-learn", "scikit-learn-extra", "learn-scikit"]


def test_of_names_that_begin_alike_the_more_downloaded_comes_first(public: Channel) -> None:
    make_package(public, "pandas")
    make_package(public, "pandoc", download_count=5)
    make_package(public, "panda-longer-name", download_count=7)

    assert names(ANONYMOUS, "pand") == ["panda-longer-name", "pandoc", "pandas"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nunpy", ["numpy"]),
        ("scikit_lern", ["scikit-learn"]),
        ("pyton", ["python"]),
        ("xyzxyz", []),
        ("np", []),
        ("", []),
    ],
)
def test_misspelt_name_has_similar_names(public: Channel, channel: Channel, text: str, found: list[str]) -> None:
    for name in ("numpy", "scikit-learn", "python"):
        make_package(public, name)
    make_package(channel, "nunpi")
    make_package(public, "xyzxyy", latest_version="")

    assert similar_names(ANONYMOUS, text) == found


@given(st.text(st.characters(codec="utf-8"), max_size=150))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_similar_names_of_generated_text_do_not_fail(numpies: Channel, text: str) -> None:
    similar_names(ANONYMOUS, text)


@pytest.mark.parametrize("text", ["", " ", "\0", "\n"])
def test_search_for_an_empty_text_finds_no_package(numpies: Channel, text: str) -> None:
    assert names(ANONYMOUS, text) == []
    assert list(find_channels(ANONYMOUS, text)) == []


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_search_for_special_characters_does_not_fail(client: Client, numpies: Channel, text: str) -> None:
    response = client.get("/search", {"q": text})

    assert response.status_code == 200
    assert "<script>alert" not in response.content.decode()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=150))
def test_search_for_generated_text_does_not_fail(numpies: Channel, text: str) -> None:
    list(find_packages(ANONYMOUS, text))
    list(find_channels(ANONYMOUS, text))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text("abc-'\"\\%_", min_size=3, max_size=12).filter(lambda text: text.strip() == text))
def test_package_of_any_name_is_found_by_it(public: Channel, name: str) -> None:
    package = make_package(public, name)
    try:
        assert names(ANONYMOUS, name)[0] == name
        assert names(ANONYMOUS, name[1:] if len(name) > 3 else name) == [name]
    finally:
        package.delete()


def test_private_packages_are_found_by_members_alone(channel: Channel, olga: User, max_: User, sam: User) -> None:
    make_package(channel, "secret-sauce")
    make_member(channel, max_, Role.VIEWER)

    found = {user: names(Actor(user=user), "secret") for user in (olga, max_, sam, None)}

    assert found == {olga: ["secret-sauce"], max_: ["secret-sauce"], sam: [], None: []}
    assert names(Actor(user=sam), "secret", channel=channel.name) == []


def test_a_key_finds_no_more_than_it_may_read(channel: Channel, olga: User, admin_user: User) -> None:
    make_package(channel, "secret-sauce")
    other = make_channel("other", owner=olga)

    def found(user: User, **key: Any) -> list[str]:
        secret = make_key(user, **key)
        return names(Actor(user=user, key=api_keys.look_up(secret)), "secret")

    for user in (olga, admin_user):
        assert found(user, scopes=("read",)) == ["secret-sauce"]
        assert found(user, scopes=("read",), channels=[channel]) == ["secret-sauce"]
        assert found(user, scopes=("read",), channels=[other]) == []
        assert found(user, scopes=("upload",)) == []


def test_a_search_within_a_channel_stays_there(numpies: Channel) -> None:
    make_package(make_channel("other", is_private=False), "numpy-elsewhere")

    assert "numpy-elsewhere" in names(ANONYMOUS, "numpy")
    assert "numpy-elsewhere" not in names(ANONYMOUS, "numpy", channel=numpies.name)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("relevance", ["tool", "tool-b", "tool-a", "other"]),
        ("downloads", ["other", "tool-b", "tool", "tool-a"]),
        ("newest", ["tool-a", "other", "tool", "tool-b"]),
        ("name", ["other", "tool", "tool-a", "tool-b"]),
    ],
)
def test_matches_have_the_order_that_is_asked_for(public: Channel, order: Order, found: list[str]) -> None:
    make_package(public, "tool", download_count=2, updated_at="2026-01-01T00:00Z")
    make_package(public, "tool-a", download_count=1, updated_at="2026-03-01T00:00Z")
    make_package(public, "tool-b", download_count=3, updated_at=None)
    make_package(public, "other", "a tool", download_count=9, updated_at="2026-02-01T00:00Z")
    assert names(ANONYMOUS, "tool", order=order) == found


def test_search_within_a_subdir_finds_packages_with_a_file_in_it(public: Channel) -> None:
    make_artifact(public, "tool-a", subdir="linux-64")
    make_artifact(public, "tool-b", subdir="linux-64", removal="yanked")
    make_artifact(public, "tool-c", subdir="linux-64", is_main=False)
    make_artifact(public, "tool-d", subdir="win-64")
    assert names(ANONYMOUS, "tool", subdir="linux-64") == ["tool-a"]
    assert names(ANONYMOUS, "tool", subdir="osx-64") == []


def test_matches_are_counted_by_channel(numpies: Channel, channel: Channel) -> None:
    make_package(make_channel("other", is_private=False), "numpy")
    make_package(channel, "numpy")
    assert list(count_by_channel(find_packages(ANONYMOUS, "numpy")).items()) == [("science", 5), ("other", 1)]


def suggested(actor: Actor, text: str) -> list[str]:
    return [package.name for package in suggestions(actor, text)]


def test_suggestions_are_installable_packages_with_the_words_in_their_names(numpies: Channel) -> None:
    make_package(numpies, "numpy-gone", latest_version="")
    assert suggested(ANONYMOUS, "nu") == ["numpy", "numpy-base"]
    assert suggested(ANONYMOUS, "NUMPY")[:3] == ["numpy", "numpy-base", "xnumpy"]
    assert suggested(ANONYMOUS, "numpy_ba") == ["numpy-base"]
    assert suggested(ANONYMOUS, "arrays") == []
    assert suggested(ANONYMOUS, " ") == []


@given(st.text(st.characters(codec="utf-8"), max_size=150))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_suggestions_for_generated_text_do_not_fail(numpies: Channel, text: str) -> None:
    suggested(ANONYMOUS, text)
    list(suggested_channels(ANONYMOUS, text))


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_suggestions_for_special_characters_do_not_fail(client: Client, numpies: Channel, text: str) -> None:
    assert client.get("/search/suggestions", {"q": text}).status_code == 200


def test_channels_are_found_by_name_and_description_with_their_packages(numpies: Channel, channel: Channel) -> None:
    for text in ("science", "SCI", "physic", "arrays plots", "sc"):
        [found] = find_channels(ANONYMOUS, text)
        assert (found.name, vars(found)["package_count"]) == ("science", 6), text
    assert list(find_channels(ANONYMOUS, channel.name)) == []


def test_deleted_channels_are_not_found(numpies: Channel) -> None:
    Channel.objects.update(deleted_at="2026-01-01T00:00Z")

    assert names(ANONYMOUS, "numpy") == []
    assert list(find_channels(ANONYMOUS, "science")) == []


def test_the_search_follows_every_change(public: Channel) -> None:
    package = make_package(public, "before-the-change", "alpha beta")
    Package.objects.filter(pk=package.pk).update(name="after-it", summary="gamma delta")
    assert [names(ANONYMOUS, text) for text in ("before", "alpha", "after", "gamma")] == [
        [],
        [],
        ["after-it"],
        ["after-it"],
    ]

    Package.objects.filter(pk=package.pk).update(download_count=5)
    assert names(ANONYMOUS, "gamma") == ["after-it"]

    package.delete()
    Channel.objects.filter(pk=public.pk).update(name="renamed", description="epsilon")
    assert names(ANONYMOUS, "after") == []
    assert [list(find_channels(ANONYMOUS, text)) for text in ("science", "arrays")] == [[], []]
    assert find_channels(ANONYMOUS, "epsilon").get().name == "renamed"


@pytest.mark.django_db(transaction=True)
def test_migration_indexes_existing_rows(public: Channel) -> None:
    make_package(public, "older-than-the-search", "said before")
    with connection.schema_editor() as editor:
        indexes.remove(None, editor)
    make_package(public, "made-without-it")

    with connection.schema_editor() as editor:
        indexes.install(None, editor)

    found = [names(ANONYMOUS, text) for text in ("older", "before", "made-without")]
    assert found == [["older-than-the-search"], ["older-than-the-search"], ["made-without-it"]]


def test_search_indexes_exist_after_all_migrations() -> None:
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'channels_app_%search%'",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE indexname ~ '_(words|name_trigrams)$'",
    }
    with connection.cursor() as cursor:
        cursor.execute(sql[connection.vendor])
        found = {name for (name,) in cursor.fetchall()}

    tables = ("channels_app_package", "channels_app_channel")
    wanted = {
        "sqlite": {f"{table}_search_{event}" for table in tables for event in ("insert", "update", "delete")},
        "postgresql": {f"{table}_{index}" for table in tables for index in ("words", "name_trigrams")},
    }
    assert found == wanted[connection.vendor], "See channels_app/search/indexes.py for what to add to the migration."
