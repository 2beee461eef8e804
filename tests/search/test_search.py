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
from channels_app.search.queries import find_channels, find_packages
from tests.builders import make_channel, make_key, make_member, make_package

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


def names(actor: Actor, text: str, channel: Channel | None = None) -> list[str]:
    return [package.name for package in find_packages(actor, text, channel)]


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
    make_package(public, "underxscore")

    assert names(ANONYMOUS, "under_score") == ["under_score"]
    assert names(ANONYMOUS, "%") == []


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
    assert names(Actor(user=sam), "secret", channel) == []


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
    assert "numpy-elsewhere" not in names(ANONYMOUS, "numpy", numpies)


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
