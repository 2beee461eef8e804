"""`/metrics` for Prometheus: the metrics of all processes, and gauges of the database, the queues and the machine."""

import logging
import platform
import shutil
from collections.abc import Iterable

import django
from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import RedisError

from channels_app.models import Outgoing
from hub import VERSION
from hub.observability import metrics
from hub.queue import queues
from publishing.attestations import trust_root_age
from publishing.models import FailedJob
from publishing.status import queries
from publishing.upstreams import queries as upstream_queries

logger = logging.getLogger(__name__)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Return the metrics to the bearer of HUB_METRICS_TOKEN. Without this setting, answer 404."""
    if not settings.HUB_METRICS_TOKEN:
        raise Http404
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not constant_time_compare(token.strip(), settings.HUB_METRICS_TOKEN):
        return HttpResponse(
            "Metrics are for the bearer of HUB_METRICS_TOKEN.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": 'Bearer realm="channelhub"'},
        )
    text = generate_latest(metrics.collected()) + generate_latest(StateCollector())
    return HttpResponse(text, content_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


class StateCollector(Collector):
    """Gauges that are read at the time of the request. A gauge is left out if its source can't be read."""

    def collect(self) -> Iterable[Metric]:
        yield _gauge(
            "channelhub_info",
            "The versions.",
            1,
            version=VERSION,
            python=platform.python_version(),
            django=django.__version__,
        )
        for part in (_of_database, _of_upstreams, _of_watches, _of_queues, _of_machine):
            try:
                yield from list(part())
            except (DatabaseError, RedisError, OSError) as error:
                logger.warning("some metrics are left out: %s", error)


def _of_database() -> Iterable[Metric]:
    indexes, verified = queries.indexes(), queries.verified()
    yield _gauge("channelhub_stale_indexes", "Indexes that wait for a build.", indexes.stale_count)
    yield _gauge("channelhub_index_lag_seconds", "How long the oldest stale index has waited.", indexes.lag_s)
    builds = GaugeMetricFamily("channelhub_subdir_builds", "Builds of the indexes, by subdir.", labels=["subdir"])
    lags = GaugeMetricFamily(
        "channelhub_subdir_lag_seconds", "How long the oldest stale index of a subdir has waited.", labels=["subdir"]
    )
    for subdir, found in queries.subdirs().items():
        builds.add_metric([subdir], found.count)
        lags.add_metric([subdir], found.lag_s)
    yield from (builds, lags)
    yield _gauge("channelhub_outbox_length", "Mails that are not sent yet.", Outgoing.objects.count())
    yield _gauge("channelhub_failed_jobs", "Failed jobs that are on the status page.", FailedJob.objects.count())
    yield _gauge(
        "channelhub_issuers_failing", "Issuers whose keys could not be fetched.", queries.failing_issuers().count()
    )
    yield _gauge(
        "channelhub_verification_differences",
        "Differences that the last verifications found.",
        verified.difference_count,
    )
    yield _gauge(
        "channelhub_verification_late_channels", "Channels that were not verified for two days.", verified.late_count
    )
    connections = GaugeMetricFamily("channelhub_database_connections", "Connections to PostgreSQL.", labels=["state"])
    for state, count in queries.database_connections().items():
        connections.add_metric([state], count)
    yield connections


def _of_upstreams() -> Iterable[Metric]:
    now = timezone.now()
    lags = GaugeMetricFamily(
        "channelhub_upstream_lag_seconds", "Time since the last successful poll of an upstream.", labels=["channel"]
    )
    for name, lag_s in upstream_queries.lag_s(now).items():
        lags.add_metric([name], lag_s)
    hidden = GaugeMetricFamily(
        "channelhub_upstream_hidden_records", "Records of upstreams that are not listed.", labels=["reason"]
    )
    for reason, count in upstream_queries.hidden_counts().items():
        hidden.add_metric([reason], count)
    yield from (lags, hidden)
    failing = upstream_queries.stale().count()
    yield _gauge("channelhub_upstreams_failing", "Upstreams whose polls have failed for an hour.", failing)
    yield _gauge("channelhub_upstream_cached_bytes", "Packages in the caches.", upstream_queries.cached_bytes())


def _of_watches() -> Iterable[Metric]:
    found = queries.watches()
    yield _gauge(
        "channelhub_watch_pass_age_seconds", "Longest time since a pass over a watched prefix ended.", found.pass_age_s
    )
    yield _gauge(
        "channelhub_watch_lag_seconds", "Longest time since all files below a watched prefix were seen.", found.lag_s
    )
    yield _gauge("channelhub_watch_refused_files", "Refused files below watched prefixes.", found.refused_files)
    yield _gauge(
        "channelhub_watches_stale", "Watches whose passes fail, or do not end, for an hour.", found.stale_count
    )


def _of_queues() -> Iterable[Metric]:
    lengths = GaugeMetricFamily("channelhub_queue_length", "Jobs that wait.", labels=["queue"])
    for name, waiting in queues.waiting().items():
        lengths.add_metric([name], waiting.count)
    yield lengths


def _of_machine() -> Iterable[Metric]:
    disk = shutil.disk_usage(settings.HUB_DATA_DIR)
    yield _gauge("channelhub_data_free_bytes", "Free space of the data folder's disk.", disk.free)
    yield _gauge("channelhub_data_total_bytes", "Size of the data folder's disk.", disk.total)
    refreshed_at = trust_root_age.refreshed_at()
    if refreshed_at and trust_root_age.is_refreshed_here():
        age = (timezone.now() - refreshed_at).total_seconds()
        yield _gauge("channelhub_trust_root_age_seconds", "Time since the Sigstore trust root was fetched.", age)


def _gauge(name: str, documentation: str, value: float, **labels: str) -> Metric:
    gauge = GaugeMetricFamily(name, documentation, labels=list(labels))
    gauge.add_metric(list(labels.values()), value)
    return gauge
