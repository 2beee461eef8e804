"""Prometheus metrics, and the files in which several processes share them.

No label is a name that people choose, so the number of series is bounded by routes, verbs, jobs and codes.
"""

import os
import re
import socket
import time
from pathlib import Path

from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from hub.observability.prometheus_internals import share_values

REGISTRY = CollectorRegistry()
FORGOTTEN_AFTER_S = 24 * 3600
# Responses with channel files take milliseconds; uploads and index builds take seconds.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
JOB_BUCKETS = (0.05, 0.25, 1, 5, 15, 60, 300, 1800)
STORE_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.25, 1, 5, 15, 60)

REQUESTS = Counter(
    "channelhub_requests", "Requests that got a response.", ["route", "method", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "channelhub_request_seconds",
    "Seconds from the arrival of a request to the first byte of its response.",
    ["route", "method"],
    buckets=REQUEST_BUCKETS,
    registry=REGISTRY,
)
UPLOADS = Counter("channelhub_uploads", "Uploads by outcome.", ["outcome"], registry=REGISTRY)
UPLOAD_BYTES = Counter("channelhub_upload_bytes", "Bytes of uploads by outcome.", ["outcome"], registry=REGISTRY)
DOWNLOADS = Counter("channelhub_downloads", "Packages that were delivered.", ["delivery"], registry=REGISTRY)
UPSTREAM_REQUESTS = Counter(
    "channelhub_upstream_requests",
    "Requested packages of upstreams: in the cache (hit), or fetched (miss).",
    ["outcome"],
    registry=REGISTRY,
)
WATCHED_FILES = Counter(
    "channelhub_watched_files",
    "Files below watched prefixes: adopted, or the code of the refusal.",
    ["outcome"],
    registry=REGISTRY,
)
UPSTREAM_BYTES = Counter("channelhub_upstream_bytes", "Bytes of packages fetched from upstreams.", registry=REGISTRY)
TOKEN_EXCHANGES = Counter(
    "channelhub_mint",
    "Identity tokens of CI, exchanged or refused.",
    ["provider", "outcome"],
    registry=REGISTRY,
)
STORE = Histogram(
    "channelhub_store_seconds",
    "Seconds of store operations; a read is measured until its first byte.",
    ["verb", "outcome"],
    buckets=STORE_BUCKETS,
    registry=REGISTRY,
)
JOBS = Histogram(
    "channelhub_job_seconds", "Seconds of finished jobs.", ["task", "outcome"], buckets=JOB_BUCKETS, registry=REGISTRY
)
BUILDS = Histogram(
    "channelhub_index_build_seconds", "Seconds of index builds.", ["kind"], buckets=JOB_BUCKETS, registry=REGISTRY
)


def use_shared_files(program: str) -> None:
    """Store the metrics of this process and its children in shared files. `/metrics` sums them over all processes.

    Call it before the first measurement: an existing value stays local to this process.
    """
    folder = _folder()
    folder.mkdir(exist_ok=True)
    share_values(folder, _file_safe(f"{program}-{socket.gethostname()}"))


def remove_old_files(program: str) -> None:
    """Remove the files of earlier runs when the program starts, and files unused for a day.

    Files of a single dead process stay until then. Without its counts the sums would fall, and Prometheus would take
    that for a restart and count the others again.
    """
    ours = _file_safe(f"{program}-{socket.gethostname()}-")
    for path in _folder().glob("*.db"):
        if path.name.partition("_")[2].startswith(ours) or time.time() - path.stat().st_mtime > FORGOTTEN_AFTER_S:
            path.unlink(missing_ok=True)


def collected() -> CollectorRegistry:
    """Return the registry that sums all processes, or this process's own if metrics are not shared."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(_folder()))  # type: ignore[no-untyped-call]
    return registry


def _folder() -> Path:
    return Path(settings.HUB_DATA_DIR) / "metrics"


def _file_safe(name: str) -> str:
    """Return `name` without `_`, which separates the parts of prometheus_client's file names."""
    return re.sub(r"[^\w.-]|_", "-", name)
