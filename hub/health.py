"""Liveness and readiness: the state of the database, the broker and the store.

Each probe runs in its own thread, and callers wait 2 seconds at most. Results are cached for one second.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread

from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from redis import Redis

from hub.observability.redaction import redacted
from hub.storage import store

TIMEOUT_S = 2.0
CACHED_S = 1.0
# A key that no store has: the store must answer that it is missing.
NO_KEY = "channelhub-readiness/nothing"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthResult:
    """The result of a probe. `trouble` is empty if it succeeded, else the reason, for administrators only."""

    seconds: float
    problem: str = ""


class Probe:
    """A check that may hang. A running check is not started a second time."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._lock = Lock()
        self._thread: Thread | None = None
        self._began = 0.0
        self._answer = HealthResult(0.0)

    def start(self) -> None:
        with self._lock:
            is_running = self._thread is not None and self._thread.is_alive()
            if is_running or (self._thread and time.monotonic() - self._began < CACHED_S):
                return
            self._began = time.monotonic()
            self._thread = Thread(target=self._run, daemon=True)
            self._thread.start()

    def answer(self) -> HealthResult:
        """Return the result, or a timeout within TIMEOUT_S of the start."""
        self.start()
        thread, began = self._thread, self._began
        if thread:
            thread.join(max(0.0, began + TIMEOUT_S - time.monotonic()))
            if thread.is_alive():
                return HealthResult(time.monotonic() - began, f"no answer within {TIMEOUT_S:.0f} s")
        return self._answer

    def _run(self) -> None:
        try:
            self._ask()
        except Exception as error:  # noqa: BLE001  (any error is the result)
            problem = redacted(f"{type(error).__name__}: {error}")[:300]
            logger.warning("a health check failed: %s", problem)
        else:
            problem = ""
        self._answer = HealthResult(time.monotonic() - self._began, problem)


def ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def ask_broker() -> None:
    if settings.REDIS_URL:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as redis:
            redis.ping()
    elif not os.access(settings.QUEUE_DIR, os.W_OK):
        raise PermissionError("the queue folder is not writable")


def ask_store() -> None:
    store().stat(NO_KEY)


PROBES = {"database": Probe(ask_database), "store": Probe(ask_store), "broker": Probe(ask_broker)}
# Without a broker, uploads and downloads work, and the schedule builds the indexes when it is back.
NEEDED = ("database", "store")


def check() -> dict[str, HealthResult]:
    """Run all probes at the same time and return their results."""
    for probe in PROBES.values():
        probe.start()
    return {name: probe.answer() for name, probe in PROBES.items()}


def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Return one line per dependency. The reason for a failure is only logged."""
    answers = check()
    is_ready = not any(answers[name].problem for name in NEEDED)
    return HttpResponse(
        "".join(f"{name}: {_word(name, answer)}, {answer.seconds * 1000:.0f} ms\n" for name, answer in answers.items()),
        content_type="text/plain",
        status=200 if is_ready else 503,
        headers={"Cache-Control": "no-store"},
    )


def _word(name: str, answer: HealthResult) -> str:
    return "ok" if not answer.problem else "failed" if name in NEEDED else "degraded"
