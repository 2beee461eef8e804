"""State of the hub for operators, with a list of problems and their remedies."""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import django
from django.conf import settings
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis import RedisError

from hub import VERSION, health
from hub.celery import app
from hub.health import HealthResult
from hub.queue import queues
from hub.queue.queues import Waiting
from hub.sizes import GIB, human_size
from publishing import failed_jobs
from publishing.attestations import trust_root_age
from publishing.models import FailedJob, Issuer, SubdirIndex, Upstream, Verification, Watch
from publishing.status import queries
from publishing.status.queries import LISTED, Indexes, LastVerification
from publishing.upstreams import queries as upstream_queries

ASK_WORKERS_S = 1.0
# Normally an index is built within seconds of a change, and within a minute after a failure.
LAG_S = 60
FREE_SHARE = 0.1
FREE_BYTES = 5 * GIB


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its remedy. `severity`: "error" if it affects users now, "warning" if it will."""

    severity: str
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Disk:
    free_bytes: int
    total_bytes: int

    @property
    def is_low(self) -> bool:
        return self.free_bytes < min(FREE_BYTES, FREE_SHARE * self.total_bytes)


@dataclass(frozen=True, slots=True)
class Status:
    """State of the hub. `waiting` is None if the broker is down.

    `workers`: name → queues; None if workers can't be reached through the broker.
    """

    health: dict[str, HealthResult]
    waiting: dict[str, Waiting] | None
    workers: dict[str, list[str]] | None
    indexes: Indexes
    stale: list[SubdirIndex]
    failed_count: int
    failed: list[tuple[str, FailedJob]]
    verified: LastVerification
    differing: list[Verification]
    issuers: list[Issuer]
    upstreams: list[Upstream]
    watches: list[Watch]
    disk: Disk
    trust_root_at: datetime | None

    @property
    def problems(self) -> list[Problem]:
        """Return all problems, errors before warnings."""
        found = [*_services(self), *_work(self), *_checks(self), *_sources(self), *_environment(self)]
        return sorted(found, key=lambda problem: problem.severity != "error")


def status() -> Status:
    """Return the state of the hub. Costs about ten queries, and at most two seconds for services that don't answer."""
    answers = health.check()
    usage = shutil.disk_usage(settings.HUB_DATA_DIR)
    has_broker = not answers["broker"].problem
    return Status(
        health=answers,
        waiting=_waiting() if has_broker else None,
        workers=_workers() if has_broker and settings.REDIS_URL else None,
        indexes=queries.indexes(),
        stale=list(queries.stale_indexes()[:LISTED]),
        failed_count=queries.failed_jobs().count(),
        failed=failed_jobs.named(list(queries.failed_jobs()[:LISTED])),
        verified=queries.verified(),
        differing=list(queries.differing()[:LISTED]),
        issuers=list(queries.failing_issuers()[:LISTED]),
        upstreams=list(upstream_queries.stale()[:LISTED]),
        watches=list(queries.stale_watches()[:LISTED]),
        disk=Disk(usage.free, usage.total),
        trust_root_at=trust_root_age.refreshed_at(),
    )


def versions() -> dict[str, str]:
    database = {"postgresql": "PostgreSQL", "sqlite": "SQLite"}.get(connection.vendor, connection.vendor)
    return {
        "Channelhub": VERSION,
        "Python": platform.python_version(),
        "Django": django.__version__,
        database: ".".join(map(str, connection.get_database_version())),
        "py-rattler": version("py-rattler"),
    }


def _waiting() -> dict[str, Waiting] | None:
    try:
        return queues.waiting()
    except (RedisError, OSError):
        return None


def _workers() -> dict[str, list[str]] | None:
    """Return worker → its queues, for workers that answer within a second, or None if the broker fails."""
    try:
        found = app.control.inspect(timeout=ASK_WORKERS_S).active_queues() or {}
    except (OperationalError, RedisError, OSError):
        return None
    return {name: sorted(queue["name"] for queue in taken) for name, taken in sorted(found.items())}


def _services(status: Status) -> Iterator[Problem]:
    for name, answer in status.health.items():
        if answer.problem and name in health.NEEDED:
            yield Problem("error", f"The {name} fails: {answer.problem}", f"Start the {name}, or look at its own log.")
        elif answer.problem:
            yield Problem(
                "error",
                f"The broker fails: {answer.problem}",
                "Uploads and downloads still work. New packages are indexed when the broker is back.",
            )


def _work(status: Status) -> Iterator[Problem]:
    if status.indexes.lag_s > LAG_S:
        yield Problem(
            "error",
            f"{_count(status.indexes.stale_count, 'index waits', 'indexes wait')} for a build, the oldest for "
            f"{duration(status.indexes.lag_s)}.",
            "Check that a worker takes the queue index, and read its log.",
        )
    taken = {name for names in (status.workers or {}).values() for name in names}
    idle = [name for name in queues.names() if name not in taken] if status.workers is not None else []
    if idle:
        yield Problem("error", f"No worker takes jobs from: {', '.join(idle)}.", "Start one; see docs/deployment.md.")
    for name, waiting in (status.waiting or {}).items():
        if (waiting.oldest_s or 0) > LAG_S:
            message = f"A job waits in the queue {name} for {duration(waiting.oldest_s or 0)}."
            yield Problem("error", message, "Check that a worker takes this queue.")
    if status.failed_count:
        yield Problem(
            "error",
            f"{_count(status.failed_count, 'job has', 'jobs have')} failed.",
            "Fix the cause that the error names, then send the jobs again below.",
        )


def _checks(status: Status) -> Iterator[Problem]:
    if status.verified.difference_count:
        yield Problem(
            "error",
            f"{_count(status.verified.difference_count, 'difference', 'differences')} between database, index files "
            f"and store in {_count(status.verified.differing_count, 'channel', 'channels')}.",
            "Run manage.py verify CHANNEL to list all of them, and with --repair to repair them.",
        )
    if status.verified.late_count:
        yield Problem(
            "warning",
            f"{_count(status.verified.late_count, 'channel was', 'channels were')} not verified for two days.",
            "Verification runs every night: check that the schedule runs and that a worker takes the queue checks.",
        )


def _sources(status: Status) -> Iterator[Problem]:
    for upstream in status.upstreams:
        goes_on = "Its last index and cached packages go on. " if upstream.succeeded_at else ""
        yield Problem(
            "warning",
            f"The upstream of {upstream.channel} has failed for {_since(upstream.failing_since)}: {upstream.error}",
            f"{goes_on}Check its URL and credential in the channel's settings.",
        )
    for watch in status.watches:
        if watch.failing_since:
            yield Problem(
                "warning",
                f"The watch of {watch.channel} has failed for {_since(watch.failing_since)}: {watch.error}",
                "Files that are put into the store there do not appear until the cause is gone.",
            )
        else:
            since = _since(watch.passed_at or watch.created_at)
            yield Problem(
                "warning",
                f"No pass over the files of {watch.channel} has ended for {since}.",
                "Check that a worker runs, and look for the failed job watch_prefixes.",
            )


def _environment(status: Status) -> Iterator[Problem]:
    if status.disk.is_low:
        yield Problem(
            "error",
            f"The data folder's disk has {human_size(status.disk.free_bytes)} left.",
            "Uploads are refused when it is full: enlarge it, or move the store to S3.",
        )
    if status.issuers:
        urls = ", ".join(issuer.url for issuer in status.issuers)
        yield Problem(
            "warning",
            f"Keys could not be fetched from {urls}.",
            "Their CI is refused once the last keys are a day old.",
        )
    if trust_root_age.is_old():
        yield Problem(
            "warning", "The Sigstore trust root is older than 30 days.", "Check that the hub can reach HUB_TUF_URL."
        )
    if settings.DEBUG:
        yield Problem("error", "HUB_DEBUG is on: error pages show code and settings to everybody.", "Unset it.")
    if settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        yield Problem("warning", "Mails are printed, not sent.", "Set EMAIL_URL.")
    if settings.HUB_PUBLIC_URL.startswith("http://") and settings.PUBLIC_HOST not in ("127.0.0.1", "localhost"):
        yield Problem("error", "Keys and passwords travel unencrypted.", "Set HUB_PUBLIC_URL to an https address.")


def duration(seconds: float) -> str:
    """Return a duration for people: `45 s`, `12 min`, `3 h`, `2 days`."""
    for size, unit in ((172_800, "days"), (7_200, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds // {'days': 86_400, 'h': 3_600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"


def _since(moment: datetime | None) -> str:
    return duration((timezone.now() - moment).total_seconds()) if moment else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
