"""Receivers of Celery's signals: they pass the request id to jobs and measure the time of jobs."""

import time
from typing import Any

from celery.signals import before_task_publish, task_postrun, task_prerun, worker_init
from django.conf import settings

from hub.observability import metrics, request_ids

ID_HEADER = "request_id"


@worker_init.connect
def share_metrics(sender: Any, **_: Any) -> None:
    program = f"worker-{sender.hostname}"
    metrics.remove_old_files(program)
    if settings.HUB_METRICS_TOKEN:
        metrics.use_shared_files(program)


@before_task_publish.connect
def send_request_id(headers: dict[str, Any], **_: Any) -> None:
    if request_id := request_ids.current.get():
        headers[ID_HEADER] = request_id


@task_prerun.connect
def begin(task: Any, **_: Any) -> None:
    request_ids.begin(task.request.get(ID_HEADER))
    task.request.began = time.perf_counter()


@task_postrun.connect
def measure(task: Any, state: str | None = None, **_: Any) -> None:
    outcome = (state or "unknown").lower()
    metrics.JOBS.labels(short_name(task.name), outcome).observe(time.perf_counter() - task.request.began)


def short_name(task: str) -> str:
    """Return `build_index` for `publishing.tasks.build_index`."""
    return task.rpartition(".")[2]
