"""`/metrics`: access, content, and sums over the files of several processes."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, values
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from channels_app.models import Artifact, Channel, User
from channels_app.packages import download_counts
from hub.errors import HubError
from hub.observability import metrics
from hub.storage import NotInStore, StoreError, as_store_error
from publishing.index.builds import build_until_current
from publishing.models import FailedJob, SubdirIndex, Verification, Watch, WatchedFile
from publishing.status import metrics_view
from publishing.trusted import exchange
from tests.builders import make_artifact, make_key, make_package

pytestmark = pytest.mark.django_db
TOKEN = "token-for-prometheus-alone"


@pytest.fixture(autouse=True)
def with_token(settings: Settings) -> None:
    settings.HUB_METRICS_TOKEN = TOKEN


def read(client: Client) -> dict[str, Metric]:
    """Return name → metric."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """Return the value of the sample with these labels, or 0 if there is none."""
    samples = [sample for family in found.values() for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Bearer ", 401),
        (f"Basic {TOKEN}", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
    ],
)
def test_metrics_are_for_the_bearer_of_the_token(client: Client, authorization: str | None, status: int) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.get("/metrics", headers=headers)

    assert answer.status_code == status
    assert (b"channelhub_info" in answer.content) is (status == 200)


def test_without_the_setting_there_are_none(client: Client, settings: Settings) -> None:
    settings.HUB_METRICS_TOKEN = ""

    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_administrators_and_keys_have_no_other_way_in(admin_client: Client, olga: User, client: Client) -> None:
    assert admin_client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": f"Bearer {make_key(olga)}"}).status_code == 401


def test_metrics_report_waiting_and_failed_jobs(client: Client, channel: Channel) -> None:
    make_artifact(channel)
    SubdirIndex.objects.update(requested_at=timezone.now() - timedelta(seconds=90), builds=7)
    for subdir, count in (("chosen-1", 2), ("chosen-2", 3)):
        SubdirIndex.objects.create(channel=channel, subdir=subdir, builds=count)
    FailedJob.objects.create(task="publishing.tasks.build_index", args=[1], error="OSError: x")
    Verification.objects.create(channel=channel, difference_count=3)

    found = read(client)

    assert value(found, "channelhub_stale_indexes") == 1
    assert 90 <= value(found, "channelhub_index_lag_seconds") < 100
    assert 90 <= value(found, "channelhub_subdir_lag_seconds", subdir="noarch") < 100
    assert value(found, "channelhub_subdir_builds", subdir="noarch") == 7
    assert value(found, "channelhub_subdir_builds", subdir="other") == 5
    assert value(found, "channelhub_failed_jobs") == 1
    assert value(found, "channelhub_verification_differences") == 3
    assert value(found, "channelhub_queue_length", queue="index") == 0
    assert value(found, "channelhub_data_total_bytes") > value(found, "channelhub_data_free_bytes") > 0


def test_a_channel_that_no_night_verified_is_late(client: Client, channel: Channel) -> None:
    assert value(read(client), "channelhub_verification_late_channels") == 0

    Channel.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert value(read(client), "channelhub_verification_late_channels") == 1

    Verification.objects.create(channel=channel)
    assert value(read(client), "channelhub_verification_late_channels") == 0


def test_watch_metrics_tell_the_oldest_pass_the_refused_files_and_stale_watches(
    client: Client, channel: Channel
) -> None:
    assert value(read(client), "channelhub_watch_lag_seconds") == 0
    now = timezone.now()
    watch = Watch.objects.create(channel=channel, passed_at=now, listed_at=now - timedelta(hours=3))
    WatchedFile.objects.create(watch=watch, subdir="noarch", file_name="a.conda", size_bytes=1)

    found = read(client)

    assert 0 <= value(found, "channelhub_watch_pass_age_seconds") < 60
    assert value(found, "channelhub_watch_lag_seconds") == pytest.approx(3 * 3600, abs=60)
    assert value(found, "channelhub_watch_refused_files") == 1
    assert value(found, "channelhub_watches_stale") == 0
    for stale in ({"failing_since": now - timedelta(hours=2)}, {"failing_since": None, "passed_at": None}):
        Watch.objects.update(created_at=now - timedelta(hours=2), **stale)
        assert value(read(client), "channelhub_watches_stale") == 1


def test_a_queue_that_is_down_costs_its_own_part_alone(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr("hub.queue.queues.waiting", refuse)

    found = read(client)

    assert "channelhub_queue_length" not in found
    assert "channelhub_stale_indexes" in found


def test_store_operations_are_measured_by_outcome(client: Client) -> None:
    before = read(client)
    for error in (None, NotInStore("x"), OSError("full")):
        with suppress(StoreError), as_store_error("put", "x", OSError):
            if error:
                raise error

    found = read(client)

    for outcome in ("ok", "absent", "failed"):
        labels = {"verb": "put", "outcome": outcome}
        name = "channelhub_store_seconds_count"
        assert value(found, name, **labels) == value(before, name, **labels) + 1


def test_downloads_builds_and_refused_tokens_are_counted(client: Client, channel: Channel) -> None:
    before = read(client)
    artifact: Artifact = make_artifact(channel)
    download_counts.count(artifact.pk)
    build_until_current(SubdirIndex.objects.get(subdir="noarch").pk)
    with pytest.raises(HubError):
        exchange.exchange("no.token.atall")

    found = read(client)

    for name, labels in (
        ("channelhub_downloads_total", {"delivery": "stream"}),
        ("channelhub_index_build_seconds_count", {"kind": "subdir"}),
        ("channelhub_mint_total", {"provider": "unknown", "outcome": "malformed"}),
    ):
        assert value(found, name, **labels) == value(before, name, **labels) + 1, name


def test_metric_labels_contain_no_user_input(client: Client, channel: Channel, olga: User) -> None:
    make_package(channel, "xylophone")
    key = make_key(olga)
    for path in ("/demo/noarch/xylophone-1.0-0.conda", "/channels/demo/packages/xylophone", "/xylophone/x/y"):
        client.get(path, headers={"Authorization": f"Bearer {key}"})

    text = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text

    assert 'route="channel-file"' in text
    for name in ("xylophone", "olga", "demo"):
        assert name not in text


@pytest.fixture
def shared(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the test share metrics by files, as programs do. Yield the folder, and restore the state at the end."""
    settings.HUB_DATA_DIR = tmp_path
    kept = values.ValueClass
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    yield tmp_path / "metrics"
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    values.ValueClass = kept


def count_as(program: str) -> None:
    """Act as a new process of `program` that counts one event."""
    metrics.use_shared_files(program)
    Counter("channelhub_tried", "Tried.", ["outcome"], registry=CollectorRegistry()).labels("published").inc()


def test_processes_share_their_counts_by_files(shared: Path) -> None:
    for program in ("web", "worker-celery@here"):
        count_as(program)

    labels = {"outcome": "published"}
    assert metrics.collected().get_sample_value("channelhub_tried_total", labels) == 2
    assert len(list(shared.glob("counter_*.db"))) == 2


def test_a_program_that_starts_forgets_its_own_past_and_no_other(shared: Path) -> None:
    count_as("web")
    count_as("worker")
    old = shared / "counter_gone-host-1.db"
    old.write_bytes(b"")
    os.utime(old, (0, 0))

    metrics.remove_old_files("web")

    [left] = shared.iterdir()
    assert left.name.startswith("counter_worker-")


def test_every_metric_has_a_description() -> None:
    named = [*metrics.REGISTRY.collect(), *metrics_view.StateCollector().collect()]
    assert all(metric.documentation.endswith(".") and metric.name.startswith("channelhub_") for metric in named)
