"""Failed jobs: recorded by the worker's signals, enqueued again or dismissed by administrators."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.trace import build_tracer
from celery.signals import before_task_publish

from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, User
from hub import celery
from hub.observability import metrics, request_ids
from publishing import failed_jobs, tasks
from publishing.models import FailedJob
from tests.builders import NO_KEY
from tests.pages import events

pytestmark = pytest.mark.django_db
BUILD = "publishing.tasks.build_index"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []

    def send(*job: object) -> bool:
        found.append(job)
        return job[1:] != (9,)  # the queue rejects this job

    monkeypatch.setattr(failed_jobs, "send", send)
    return found


def fail(task: str, *args: int, error: str = "no space left") -> None:
    failed_jobs.note_failure(SimpleNamespace(name=task), OSError(error), args=args)


def failed_jobs_rows() -> list[tuple[str, list[Any], str, int]]:
    return list(FailedJob.objects.order_by("pk").values_list("task", "args", "error", "times"))


def run(task: Any, *args: int, retries: int = 0) -> None:
    """Run the task as a worker does, with its signals."""
    request = {"id": "1", "args": [*args], "kwargs": {}, "retries": retries, "delivery_info": {}}
    build_tracer(task.name, task, app=celery.app)("1", [*args], {}, request)


def test_a_job_that_fails_is_noted_and_counted_up() -> None:
    fail(BUILD, 7)
    fail(BUILD, 7, error="no space left, still")
    fail(BUILD, 8)

    assert failed_jobs_rows() == [
        (BUILD, [7], "OSError: no space left, still", 2),
        (BUILD, [8], "OSError: no space left", 1),
    ]


def test_its_error_holds_no_secret_and_is_short() -> None:
    fail(BUILD, 7, error=f"{NO_KEY} {'x' * 1000}")

    [(_, _, error, _)] = failed_jobs_rows()
    assert error.startswith("OSError: [hidden] xxx")
    assert len(error) == failed_jobs.ERROR_MAX_CHARACTERS


def test_workers_tell_of_failures_and_successes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("the store is gone")

    monkeypatch.setattr("publishing.housekeeping.remove_leftovers", fails)
    run(tasks.remove_leftovers)
    assert failed_jobs_rows() == [("publishing.tasks.remove_leftovers", [], "RuntimeError: the store is gone", 1)]

    run(tasks.wake_stale_indexes)
    assert len(failed_jobs_rows()) == 1
    monkeypatch.setattr("publishing.housekeeping.remove_leftovers", lambda: None)
    run(tasks.remove_leftovers)
    assert failed_jobs_rows() == []


def test_a_retry_sends_it_again_and_keeps_it_until_it_succeeds(olga: User, sent: list[tuple[object, ...]]) -> None:
    fail(BUILD, 7)
    fail(BUILD, 9)

    assert failed_jobs.retry(actor=Actor(user=olga), jobs=FailedJob.objects.order_by("pk")) == (1, 1)

    assert sent == [(BUILD, 7), (BUILD, 9)]
    assert len(failed_jobs_rows()) == 2
    assert [(action, target) for action, target, _ in events()] == [
        ("job.retry", "build_index 7"),
        ("job.retry", "build_index 9"),
    ]


def test_a_name_is_never_longer_than_the_record_of_it_may_be(olga: User) -> None:
    event = AuditEvent.objects.create(action="artifact.delete", target="x" * 300)
    fail("channels_app.tasks.send_mail", event.pk, 7)

    failed_jobs.dismiss(actor=Actor(user=olga), jobs=FailedJob.objects.all())

    _, (_, target, _) = events()
    assert target.startswith("send_mail artifact.delete xxx")
    assert len(target) == failed_jobs.NAME_MAX_CHARACTERS


def test_dismissed_job_is_deleted_and_recorded(olga: User) -> None:
    fail(BUILD, 7)
    fail(BUILD, 8)

    assert failed_jobs.dismiss(actor=Actor(user=olga), jobs=FailedJob.objects.filter(args=[7])) == 1

    assert [args for _, args, _, _ in failed_jobs_rows()] == [[8]]
    assert [(action, target) for action, target, _ in events()] == [("job.put_away", "build_index 7")]


def test_jobs_are_measured_by_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(outcome: str) -> float:
        labels = {"task": "remove_leftovers", "outcome": outcome}
        return metrics.REGISTRY.get_sample_value("channelhub_job_seconds_count", labels) or 0

    before = count("success"), count("failure")

    monkeypatch.setattr("publishing.housekeeping.remove_leftovers", lambda: None)
    run(tasks.remove_leftovers)
    monkeypatch.setattr("publishing.housekeeping.remove_leftovers", lambda: 1 / 0)
    run(tasks.remove_leftovers)

    assert (count("success"), count("failure")) == (before[0] + 1, before[1] + 1)


def test_a_job_carries_the_id_of_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    headers: dict[str, Any] = {}
    seen: list[str] = []
    request_ids.begin("of-the-request-1")

    before_task_publish.send(sender=BUILD, headers=headers)
    request_ids.begin()
    monkeypatch.setattr("publishing.index.turns.work", lambda: seen.append(request_ids.current.get()))
    build_tracer(BUILD, tasks.build_index, app=celery.app)("1", [7], {}, {"id": "1", "args": [7], **headers})

    assert seen == ["of-the-request-1"]
