"""Metrics of a running hub: counts of several processes, request ids in the worker's log, readiness."""

import json
import os
import signal
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rattler_build import upload_package_to_prefix

from tests.archives import make_conda
from tests.clients.plain import seconds_until
from tests.live import LiveHub, live_hub

TOKEN = "token-for-prometheus-alone"
REQUEST_ID = "asked-by-a-test-0001"
QUEUES = {"index", "checks", "housekeeping"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    folder = tmp_path_factory.mktemp("watched")
    settings = {"HUB_METRICS_TOKEN": TOKEN, "HUB_LOG_FORMAT": "json", "HUB_ACCESS_LOG": "true", "HUB_PROXIES": "1"}
    with live_hub(folder, HUB_ADMIN_PASSWORD="not-a-secret-here", **settings) as hub:
        hub.manage("createchannel", "demo", "--owner", "admin", "--public")
        key = hub.manage("createapikey", "admin", "--name", "live", "--scope", "upload")
        upload_package_to_prefix([str(make_conda(folder))], hub.url, "demo", api_key=key)
        yield hub


def get(hub: LiveHub, path: str, **headers: str) -> Any:
    return urlopen(Request(f"{hub.url}{path}", headers=headers))


def value(hub: LiveHub, name: str, **labels: str) -> float:
    text = get(hub, "/metrics", Authorization=f"Bearer {TOKEN}").read().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())


def lines(hub: LiveHub) -> list[str]:
    """Return the complete lines of the hub's log."""
    return hub.log().rpartition("\n")[0].splitlines()


def objects(hub: LiveHub) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(hub) if line.startswith("{")]


def traces(hub: LiveHub, request_id: str) -> str:
    return "".join(line.get("trace", "") for line in objects(hub) if line.get("request_id") == request_id)


def readiness(hub: LiveHub) -> list[str]:
    try:
        text: str = get(hub, "/readyz").read().decode()
    except HTTPError as error:
        text = error.read().decode()
    return [line.split(",")[0] for line in text.splitlines()]


def workers(hub: LiveHub) -> Any:
    return hub.shell("from publishing.status.checks import status\nanswer = status().workers")


def test_web_and_worker_are_measured_as_one(hub: LiveHub) -> None:
    assert value(hub, "channelhub_uploads_total", outcome="published") == 1
    assert value(hub, "channelhub_upload_bytes_total", outcome="published") > 0
    seconds_until(lambda: value(hub, "channelhub_index_build_seconds_count", kind="subdir") >= 1)
    seconds_until(
        lambda: value(hub, "channelhub_job_seconds_count", task="build_stale_indexes", outcome="success") >= 1
    )
    seconds_until(lambda: value(hub, "channelhub_stale_indexes") == 0)
    assert value(hub, "channelhub_store_seconds_count", verb="put", outcome="ok") > 1


def test_counts_of_a_web_process_that_died_are_kept(hub: LiveHub) -> None:
    for _ in range(20):
        get(hub, "/demo/noarch/repodata.json").read()
    before = value(hub, "channelhub_requests_total", route="channel-file", status="200")
    _, *workers = hub.part("gunicorn")

    os.kill(workers[0], signal.SIGKILL)

    seconds_until(lambda: len(hub.part("gunicorn")) == len(workers) + 1)
    get(hub, "/demo/noarch/repodata.json").read()
    assert value(hub, "channelhub_requests_total", route="channel-file", status="200") == before + 1
    assert before >= 20


def test_a_proxys_id_is_answered_and_logged(hub: LiveHub) -> None:
    answer = get(hub, "/demo/noarch/repodata.json", **{"X-Request-ID": REQUEST_ID})

    assert answer.headers["X-Request-ID"] == REQUEST_ID
    seconds_until(lambda: any(line.get("request_id") == REQUEST_ID for line in objects(hub)))
    [line] = [line for line in objects(hub) if line.get("request_id") == REQUEST_ID]
    assert (line["logger"], line["method"], line["path"]) == ("hub.access", "GET", "/demo/noarch/repodata.json")
    assert (line["route"], line["status"], line["who"]) == ("channel-file", 200, "anonymous")


def test_a_jobs_lines_carry_the_id_of_its_request_and_its_failure_is_noted(hub: LiveHub) -> None:
    hub.shell(
        "from hub import celery\nfrom hub.observability import request_ids\n"
        "request_ids.begin('sent-by-a-test-0002')\n"
        "celery.send('publishing.tasks.build_index', 'no number')"
    )

    found = "answer = list(__import__('publishing.models').models.FailedJob.objects.values_list('args', 'error'))"
    seconds_until(lambda: bool(hub.shell(found)))
    [(args, error)] = hub.shell(found)
    assert args == ["no number"]
    assert error.startswith("ValueError: ")
    seconds_until(lambda: "ValueError" in traces(hub, "sent-by-a-test-0002"))
    assert value(hub, "channelhub_failed_jobs") == 1


def test_every_line_of_a_hub_that_runs_is_an_object(hub: LiveHub) -> None:
    # The last line that a first start prints.
    [started] = [number for number, line in enumerate(lines(hub)) if line.startswith("Administrator: ")]
    found = lines(hub)[started + 1 :]
    assert len(found) > 20
    assert [line for line in found if not line.startswith("{")] == []


def test_hub_with_every_service_is_ready(hub: LiveHub) -> None:
    seconds_until(lambda: readiness(hub) == ["database: ok", "store: ok", "broker: ok"])


def test_the_status_page_sees_the_workers_where_redis_is(hub: LiveHub) -> None:
    if "REDIS_URL" in hub.environment:
        # A busy worker does not answer within a second.
        seconds_until(lambda: {queue for taken in workers(hub).values() for queue in taken} == QUEUES)
    else:
        assert workers(hub) is None


def test_start_resets_earlier_metrics(hub: LiveHub) -> None:
    hub.restart()

    assert value(hub, "channelhub_uploads_total", outcome="published") == 0
    assert len([path for path in (hub.data_dir / "metrics").iterdir() if "web" in path.name]) <= 2 * 3
