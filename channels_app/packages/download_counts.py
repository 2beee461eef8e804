"""Download counts: collected in memory and written at intervals, off the path of a download.

They are kept per file and day (UTC). Of upstream channels, which have no rows of files, only a package's sum is kept.

A killed process loses the last few seconds of its counts.
"""

import atexit
import threading
from collections import Counter
from datetime import UTC, date, datetime

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import F

from channels_app.models import Artifact, DailyDownloads, Package
from hub.observability import metrics

# The id of an artifact and the day, or the id of a channel and the name of a package.
Counted = tuple[int, date | str]

_lock = threading.Lock()
_pending: Counter[Counted] = Counter()
_timers: list[threading.Timer] = []


def count(artifact_id: int) -> None:
    """Count one download of an artifact."""
    _count((artifact_id, datetime.now(UTC).date()))


def count_package(channel_id: int, name: str) -> None:
    """Count one download of a package that has no artifacts."""
    _count((channel_id, name))


def _count(counted: Counted) -> None:
    metrics.DOWNLOADS.labels(settings.HUB_DELIVERY).inc()
    _keep(Counter({counted: 1}))


def write() -> None:
    """Write the counts since the last time. Keep them for the next time if the database refuses, as on a full disk."""
    with _lock:
        counted = _pending.copy()
        _pending.clear()
        _timers.clear()
    try:
        for pk, part in list(counted):
            if isinstance(part, str):
                _add_to_package(pk, part, counted[pk, part])
            else:
                _add(pk, part, counted[pk, part])
            del counted[pk, part]
    except OperationalError:
        _keep(counted)
        raise


def _keep(counted: Counter[Counted]) -> None:
    """Add the counts to those of the next write."""
    with _lock:
        _pending.update(counted)
        if not _timers:
            timer = threading.Timer(settings.HUB_DOWNLOAD_COUNT_S, _write_in_background)
            timer.daemon = True
            _timers.append(timer)
            timer.start()


@transaction.atomic
def _add(artifact_id: int, day: date, number: int) -> None:
    found = Artifact.objects.filter(pk=artifact_id)
    if not found.update(download_count=F("download_count") + number):
        return
    Package.objects.filter(artifacts=artifact_id).update(download_count=F("download_count") + number)
    row, is_new = DailyDownloads.objects.get_or_create(artifact_id=artifact_id, day=day, defaults={"count": number})
    if not is_new:
        DailyDownloads.objects.filter(pk=row.pk).update(count=F("count") + number)


def _add_to_package(channel_id: int, name: str, number: int) -> None:
    package = Package.objects.filter(channel=channel_id, name=name)
    package.update(download_count=F("download_count") + number)


def _write_in_background() -> None:
    try:
        write()
    finally:
        connection.close()


atexit.register(write)
