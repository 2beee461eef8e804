"""Queries for operators: stale indexes, failed jobs, failing issuers, stale watches and verifications."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.utils import timezone

from channels_app.identifiers import KNOWN_SUBDIRS
from channels_app.models import Channel
from publishing.models import FailedJob, Issuer, SubdirIndex, Verification, Watch, WatchedFile

# Most rows of one kind that the status page lists. It shows the full count beside them.
LISTED = 20
# Names beside those of subdirs, which contain a hyphen or are `noarch`.
OTHER_SUBDIRS = "other"
WHOLE_CHANNEL = "channel"
VERIFIED_WITHIN = timedelta(hours=48)
# Passes over watched prefixes begin every 30 seconds.
PASSED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Indexes:
    """Number of indexes and of stale ones. `lag_s`: how long the oldest stale index has waited."""

    count: int
    stale_count: int
    lag_s: float


@dataclass(frozen=True, slots=True)
class SubdirBuilds:
    """Number of builds of a subdir in all channels, and how long its oldest stale index has waited."""

    count: int
    lag_s: float


@dataclass(frozen=True, slots=True)
class Watches:
    """Summary of the watches of channels. `pass_age_s`, `lag_s`: of the watch whose last pass, or whose last look at
    all of its files, ended the longest ago."""

    stale_count: int
    pass_age_s: float
    lag_s: float
    refused_files: int


@dataclass(frozen=True, slots=True)
class LastVerification:
    """Summary of each channel's last verification.

    `late_count`: channels that were not verified within VERIFIED_WITHIN.
    """

    channel_count: int
    late_count: int
    differing_count: int
    difference_count: int
    last_at: datetime | None


def stale_indexes() -> QuerySet[SubdirIndex]:
    return (
        SubdirIndex.objects.filter(requested_revision__gt=F("built_revision"))
        .select_related("channel")
        .order_by("requested_at")
    )


def indexes() -> Indexes:
    stale = Q(requested_revision__gt=F("built_revision"))
    found = SubdirIndex.objects.aggregate(
        count=Count("pk"), stale=Count("pk", filter=stale), since=Min("requested_at", filter=stale)
    )
    return Indexes(found["count"], found["stale"], _age_s(found["since"]))


def subdirs() -> dict[str, SubdirBuilds]:
    """Return the builds of all channels by subdir. Only known subdirs have their own entry: users choose the others."""
    stale = Q(requested_revision__gt=F("built_revision"))
    rows = SubdirIndex.objects.values("subdir").annotate(total=Sum("builds"), since=Min("requested_at", filter=stale))
    found: dict[str, SubdirBuilds] = {}
    for row in rows:
        platform = row["subdir"].rpartition("/")[2]  # also of a label
        name = platform if platform in KNOWN_SUBDIRS else OTHER_SUBDIRS if platform else WHOLE_CHANNEL
        before = found.get(name, SubdirBuilds(0, 0.0))
        found[name] = SubdirBuilds(before.count + row["total"], max(before.lag_s, _age_s(row["since"])))
    return found


def failed_jobs() -> QuerySet[FailedJob]:
    return FailedJob.objects.order_by("-failed_at")


def failing_issuers() -> QuerySet[Issuer]:
    """Return the issuers in use for which the last fetch of keys failed."""
    return Issuer.objects.filter(is_enabled=True, publishers__isnull=False).exclude(failure="").distinct()


def stale_watches() -> QuerySet[Watch]:
    """Select the watches whose passes fail, or do not end, for long."""
    long_ago = timezone.now() - PASSED_WITHIN
    no_pass = Q(passed_at__lt=long_ago) | Q(passed_at=None, created_at__lt=long_ago)
    found = Watch.objects.filter(no_pass | Q(failing_since__lt=long_ago), channel__deleted_at=None)
    return found.select_related("channel")


def watches() -> Watches:
    """Return the summary. HUB_WATCHED_CHANNELS limits the rows that are read."""
    found = Watch.objects.filter(channel__deleted_at=None).defer("clean")
    passed = min((watch.passed_at or watch.created_at for watch in found), default=None)
    listed = min((watch.listed_at or watch.created_at for watch in found), default=None)
    refused = WatchedFile.objects.filter(watch__channel__deleted_at=None).count()
    return Watches(stale_watches().count(), _age_s(passed), _age_s(listed), refused)


def _age_s(since: datetime | None) -> float:
    return max(0.0, (timezone.now() - since).total_seconds()) if since else 0.0


def differing() -> QuerySet[Verification]:
    """Return verifications with differences, most differences first."""
    return Verification.objects.filter(difference_count__gt=0).select_related("channel").order_by("-difference_count")


def nearly_full() -> QuerySet[Channel]:
    """Return the channels whose owners were warned that the quota is nearly used up."""
    return Channel.objects.filter(quota_warned_at__isnull=False, deleted_at=None)


def verified() -> LastVerification:
    long_ago = timezone.now() - VERIFIED_WITHIN
    # A younger channel had no nightly verification yet.
    is_late = Q(verification__ended_at__lt=long_ago) | Q(verification=None, created_at__lt=long_ago)
    found = Channel.objects.filter(deleted_at=None).aggregate(
        count=Count("pk"),
        late=Count("pk", filter=is_late),
        differing=Count("pk", filter=Q(verification__difference_count__gt=0)),
        differences=Sum("verification__difference_count", default=0),
        last=Max("verification__ended_at"),
    )
    return LastVerification(found["count"], found["late"], found["differing"], found["differences"], found["last"])


def database_connections() -> dict[str, int]:
    """Return state → number of connections to this database from all processes. Empty for SQLite."""
    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(state, 'other'), count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() GROUP BY 1"
        )
        return dict(cursor.fetchall())
