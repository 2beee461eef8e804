"""Migrations that rename columns keep the rows of a running hub."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from pytest_django.plugin import DjangoDbBlocker

from channels_app.access import revision
from channels_app.models import ApiKey, Artifact, Invitation, Package
from publishing.index import builds, marks
from publishing.models import SubdirIndex, UsedIdToken

pytestmark = pytest.mark.django_db

THEN = datetime(2026, 1, 2, tzinfo=UTC)


def drop_tables() -> None:
    """Drop all tables except those of auth and contenttypes, which refer to no others and have rows."""
    kept = ("auth_", "django_content_type", "django_migrations")
    dependents = "CASCADE" if connection.vendor == "postgresql" else ""
    with connection.schema_editor() as editor:
        for table in connection.introspection.table_names():
            if not table.startswith(kept):
                editor.execute(f'DROP TABLE IF EXISTS "{table}" {dependents}')
    MigrationRecorder(connection).migration_qs.exclude(app__in=("auth", "contenttypes")).delete()


def migrated(targets: list[tuple[str, str]]) -> Callable[[str], Any]:
    """Migrate to `targets`. Return a function from the name of a model to its manager in that state."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    apps = executor.loader.project_state(targets).apps
    managers = {model.__name__: model._default_manager for model in apps.get_models()}
    return managers.__getitem__


def fill(rows: Callable[[str], Any]) -> None:
    """Create one row for each renamed column, and a key whose revocation raises the access revision."""
    olga = rows("User").create(username="olga")
    channel = rows("Channel").create(name="demo")
    team = rows("Team").create(name="mappers")
    invitations = rows("Invitation")
    invitations.create(channel=channel, who="sam", digest="1", role="reader", expires_at=THEN, user=olga)
    invitations.create(into=team, who="team mappers", digest="2", expires_at=THEN, team=team)
    package = rows("Package").create(channel=channel, name="pack")
    artifact = {"channel": channel, "package": package, "subdir": "noarch", "version": "1.0", "build": "0"}
    numbers = {"build_number": 0, "revision": 1, "size_bytes": 1, "indexed_timestamp": 1, "index_json": {}}
    rows("Artifact").create(
        **artifact, **numbers, file_name="pack-1.0-0.conda", set_aside_reason="Its bytes are missing."
    )
    rows("SubdirIndex").create(channel=channel, subdir="noarch", wanted=7, built=5, wanted_at=THEN)
    issuer = rows("Issuer").create(url="https://ci.example.org", provider="generic")
    rows("UsedIdToken").create(issuer=issuer, replay_key="once", until=THEN)
    rows("AccessEpoch").update_or_create(pk=1, defaults={"number": 41})
    rows("ApiKey").create(owner=olga, name="ci", digest="d")


def fill_index_of_channeldata(rows: Callable[[str], Any]) -> None:
    index = rows("SubdirIndex").create(channel=rows("Channel").create(name="old"), subdir="", wanted=3, built=3)
    rows("IndexedName").create(index=index, name="pack", changed=3, made=3)


def fill_index_of_shards(rows: Callable[[str], Any]) -> None:
    channel = rows("Channel").create(name="later")
    for subdir in ("noarch", ""):
        index = rows("SubdirIndex").create(
            channel=channel, subdir=subdir, requested_revision=3, built_revision=3, requested_at=THEN
        )
        rows("IndexedName").create(index=index, name="pack", changed=3, made=3)


# The tables of an earlier version, and the function that fills them.
STAGES: tuple[tuple[list[tuple[str, str]], Callable[[Callable[[str], Any]], None]], ...] = (
    ([("publishing", "0007_publishers_end_with_their_key")], fill_index_of_channeldata),
    ([("channels_app", "0018_plain_help_texts"), ("publishing", "0009_fragments_in_parts")], fill),
    ([("publishing", "0011_channel_notices")], fill_index_of_shards),
)


@pytest.fixture(scope="module", autouse=True)
def upgraded(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Migrate a new hub through all versions of STAGES to the last. It has rows of each."""
    with django_db_blocker.unblock():
        drop_tables()
        for targets, fill_tables in STAGES:
            fill_tables(migrated(targets))
        migrated(MigrationExecutor(connection).loader.graph.leaf_nodes())
        yield
        call_command("flush", interactive=False, verbosity=0)


def test_renaming_migrations_with_rows_keep_every_value() -> None:
    index = SubdirIndex.objects.get(channel__name="demo")
    assert (index.requested_revision, index.built_revision) == (8, 5)
    assert UsedIdToken.objects.get().expires_at == THEN
    assert Artifact.objects.get().is_damaged
    assert Package.objects.get().size_bytes == 1
    assert list(Invitation.objects.order_by("pk").values_list("channel__name", "to_team__name", "invitee_name")) == [
        ("demo", None, "sam"),
        (None, "mappers", "team mappers"),
    ]
    assert revision.is_current(41)


def test_migration_of_channeldata_with_built_index_marks_it_stale() -> None:
    """Channeldata of an earlier version has longer texts, so each channel's is built again."""
    found = SubdirIndex.objects.get(channel__name="old")
    assert (found.requested_revision, found.built_revision) == (4, 3)
    assert [name.name for name in builds.stale_names(found)] == ["pack"]


def test_migration_of_shards_with_built_index_marks_it_stale() -> None:
    """Records in shards of an earlier version have no run exports, so each shard is built again."""
    noarch, whole = SubdirIndex.objects.filter(channel__name="later").order_by("-subdir")
    assert (noarch.requested_revision, whole.requested_revision) == (4, 3)
    assert [name.name for name in builds.stale_names(noarch)] == ["pack"]


# It runs after the others: the revision rises at the commit, and tests with commits empty the tables.
@pytest.mark.django_db(transaction=True)
def test_renaming_migrations_keep_triggers_indexes_and_constraints() -> None:
    ApiKey.objects.update(revoked_at=THEN)
    assert revision.is_current(42)
    with connection.cursor() as cursor:
        kept = connection.introspection.get_constraints(cursor, "publishing_subdirindex")
        kept |= connection.introspection.get_constraints(cursor, "channels_app_artifact")
    assert {"stale_indexes", "listed_by_subdir", "listed_by_time"} <= kept.keys()
    channel = Invitation.objects.get(invitee_name="sam").channel
    assert channel is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.create(channel=channel, invitee_name="sam", digest="3", expires_at=THEN)
    assert marks.mark_stale(channel, "noarch", ["pack"]).requested_revision == 9
