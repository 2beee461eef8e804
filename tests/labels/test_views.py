"""The pages of labels, and the labels on pages of files."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Artifact, Channel, Label, Package, Removal, Role, User
from channels_app.packages import packages
from publishing.index import builds, marks
from tests.browsing import page
from tests.builders import make_artifact, make_label, make_member, make_user
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/channels/demo/labels"
ONE = f"{PAGE}/pr-123"


@pytest.fixture
def owner(olga: User, channel: Channel) -> Client:
    return signed_in(olga)


def labeled(channel: Channel, name: str, version: str = "1.0", *, is_main: bool = False) -> Artifact:
    artifact = make_artifact(channel, name, version, is_main=is_main)
    make_label(channel, "pr-123").artifacts.add(artifact)
    packages.refresh(Package.objects.get(channel=channel, name=name))
    return artifact


def test_label_is_created_shown_changed_and_deleted(channel: Channel, owner: Client) -> None:
    day = (timezone.now() + timedelta(days=3)).date()
    created = owner.post(PAGE, {"action": "create", "name": "PR-123", "last_day": day.isoformat()})
    assert (created.status_code, created.headers["Location"]) == (302, ONE)
    assert Label.objects.get().expires_at == datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)
    for path in (PAGE, ONE):
        assert "/demo/label/pr-123" in page(owner, path)
    assert owner.post(ONE, {"action": "expiry", "last_day": ""}).status_code == 302
    assert Label.objects.get().expires_at is None
    assert owner.post(ONE, {"action": "delete"}).headers["Location"] == PAGE
    assert not Label.objects.exists()
    assert owner.get(ONE).status_code == 404


@pytest.mark.parametrize(
    "values", [{"name": "a b"}, {"name": ""}, {"name": "pr-123"}, {"name": "x", "last_day": "2020-01-01"}]
)
def test_bad_label_is_refused_in_the_form(channel: Channel, owner: Client, values: dict[str, str]) -> None:
    make_label(channel, "pr-123")
    answer = owner.post(PAGE, {"action": "create"} | values)
    assert (answer.status_code, "errorlist" in answer.text) == (422, True)
    assert Label.objects.count() == 1


def test_label_of_files_without_another_is_deleted_with_them_on_request(channel: Channel, owner: Client) -> None:
    artifact = labeled(channel, "demo")
    answer = owner.post(ONE, {"action": "delete"})
    assert (answer.status_code, "Give them another label first" in text(answer)) == (422, True)
    assert owner.post(ONE, {"action": "delete", "with_files": "on"}).status_code == 302
    artifact.refresh_from_db()
    assert artifact.removal == Removal.DELETED


def test_page_of_a_label_lists_its_packages_with_their_newest_version(channel: Channel, owner: Client) -> None:
    for version in ("1.9", "1.10"):
        labeled(channel, "demo", version)
    make_artifact(channel, "other")
    shown = page(owner, ONE)
    assert "/channels/demo/packages/demo/1.10" in shown
    assert "/channels/demo/packages/other" not in shown


@pytest.mark.parametrize("count", [2, 20])
def test_pages_of_labels_cost_as_many_queries_for_20_as_for_2(
    channel: Channel, owner: Client, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(count):
        labeled(channel, f"demo-{number}")
        make_label(channel, f"l{number}")
    owner.get(PAGE)
    with django_assert_num_queries(8):
        owner.get(PAGE)
    with django_assert_num_queries(10):
        owner.get(ONE)


def test_page_of_a_label_shows_its_indexes_and_their_builds(channel: Channel, owner: Client) -> None:
    labeled(channel, "demo")
    marks.mark_stale(channel, "noarch", ["demo"], label="pr-123")
    assert all(words in page(owner, ONE) for words in ("Indexing…", "not built yet"))
    builds.build_channel(channel)
    shown = page(owner, ONE)
    assert "build 1," in shown
    assert "Indexing…" not in shown


def test_readers_see_labels_without_forms(channel: Channel) -> None:
    labeled(channel, "demo")
    for role, has_creation in ((Role.VIEWER, False), (Role.CONTRIBUTOR, True)):
        user = make_user(role)
        make_member(channel, user, role)
        client = signed_in(user)
        assert ('value="create"' in page(client, PAGE)) is has_creation
        assert 'name="action"' not in page(client, ONE)
        assert client.post(ONE, {"action": "delete"}).status_code == 403
    assert Label.objects.exists()


def test_channel_page_names_its_labels(channel: Channel, owner: Client) -> None:
    labeled(channel, "demo")
    assert ONE in page(owner, "/channels/demo")


def test_pages_of_a_file_show_its_labels(channel: Channel, owner: Client) -> None:
    artifact = labeled(channel, "demo", is_main=True)
    for path in ("packages/demo", "packages/demo/1.0", f"artifacts/noarch/{artifact.file_name}", "select"):
        assert ONE in page(owner, f"/channels/demo/{path}"), path


def test_version_outside_of_main_is_installed_from_its_label(channel: Channel, owner: Client) -> None:
    labeled(channel, "demo")
    of_label = f"pixi workspace channel add <span>{settings.HUB_PUBLIC_URL}/demo/label/pr-123</span>"
    for path in ("packages/demo", "packages/demo/1.0"):
        assert of_label in page(owner, f"/channels/demo/{path}")
    labeled(channel, "demo", "2.0", is_main=True)
    for path in ("packages/demo", "packages/demo/2.0"):
        assert of_label not in page(owner, f"/channels/demo/{path}")
