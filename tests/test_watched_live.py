"""A running hub, watched: counts of several processes, ids that reach the worker's log, readiness."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rattler_build import upload_package_to_prefix

from tests.archives import make_conda
from tests.live import LiveHub, live_hub

TOKEN = "token-for-prometheus-alone"
REQUEST_ID = "asked-by-a-test-0001"
WAIT_S = 30


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


def objects(hub: LiveHub) -> list[dict[str, Any]]:
    return [json.loads(line) for line in hub.log().splitlines() if line.startswith("{")]


def soon(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.2)
    return what()


def test_web_and_worker_are_measured_as_one(hub: LiveHub) -> None:
    assert value(hub, "channelhub_uploads_total", outcome="published") == 1
    assert value(hub, "channelhub_upload_bytes_total", outcome="published") > 0
    assert soon(lambda: value(hub, "channelhub_index_build_seconds_count", kind="subdir") >= 1)
    assert soon(lambda: value(hub, "channelhub_job_seconds_count", task="build_index", outcome="success") >= 1)
    assert soon(lambda: value(hub, "channelhub_stale_indexes") == 0)
    assert value(hub, "channelhub_store_seconds_count", verb="put", outcome="ok") > 1


def test_counts_of_a_web_process_that_died_are_kept(hub: LiveHub) -> None:
    for _ in range(20):
        get(hub, "/demo/noarch/repodata.json").read()
    before = value(hub, "channelhub_requests_total", route="channel-file", status="200")
    _, *workers = hub.part("gunicorn")

    os.kill(workers[0], signal.SIGKILL)

    assert soon(lambda: len(hub.part("gunicorn")) == len(workers) + 1)
    get(hub, "/demo/noarch/repodata.json").read()
    assert value(hub, "channelhub_requests_total", route="channel-file", status="200") == before + 1
    assert before >= 20


def test_a_proxys_id_is_answered_and_logged(hub: LiveHub) -> None:
    answer = get(hub, "/demo/noarch/repodata.json", **{"X-Request-ID": REQUEST_ID})

    assert answer.headers["X-Request-ID"] == REQUEST_ID
    assert soon(lambda: any(line.get("request_id") == REQUEST_ID for line in objects(hub)))
    [line] = [line for line in objects(hub) if line.get("request_id") == REQUEST_ID]
    assert (line["logger"], line["method"], line["path"]) == ("hub.access", "GET", "/demo/noarch/repodata.json")
    assert (line["route"], line["status"], line["who"]) == ("channel-file", 200, "nobody")


def test_a_jobs_lines_carry_the_id_of_its_request_and_its_failure_is_noted(hub: LiveHub) -> None:
    hub.shell(
        "from hub import celery, request_ids\n"
        "request_ids.begin('sent-by-a-test-0002')\n"
        "celery.send('publishing.tasks.build_index', 'no number')"
    )

    found = "answer = list(__import__('publishing.models').models.FailedJob.objects.values_list('args', 'error'))"
    assert soon(lambda: bool(hub.shell(found)))
    [(args, error)] = hub.shell(found)
    assert args == ["no number"]
    assert error.startswith("ValueError: ")
    told = [line for line in objects(hub) if line.get("request_id") == "sent-by-a-test-0002"]
    assert any("ValueError" in line.get("trace", "") for line in told)
    assert value(hub, "channelhub_failed_jobs") == 1


def test_every_line_of_a_hub_that_runs_is_an_object(hub: LiveHub) -> None:
    _, *lines = hub.log().partition("Channelhub is ready")[2].splitlines()
    assert len(lines) > 20
    assert [line for line in lines if not line.startswith("{")] == []


def test_it_is_ready(hub: LiveHub) -> None:
    text = get(hub, "/readyz").read().decode()
    assert [line.split(",")[0] for line in text.splitlines()] == ["database: ok", "store: ok", "broker: ok"]


def test_the_status_page_sees_the_workers_where_redis_is(hub: LiveHub) -> None:
    found = hub.shell("from publishing.operations.status import status\nanswer = status().workers")

    if "REDIS_URL" in hub.environment:
        assert {queue for taken in found.values() for queue in taken} == {"index", "checks", "housekeeping"}
    else:
        assert found is None


def test_a_start_forgets_what_was_measured_before(hub: LiveHub) -> None:
    hub.restart()

    assert value(hub, "channelhub_uploads_total", outcome="published") == 0
    assert len([path for path in (hub.data_dir / "metrics").iterdir() if "web" in path.name]) <= 2 * 3
