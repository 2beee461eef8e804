"""Contract with libraries: the private names of theirs that the hub uses still exist after an upgrade.

A failure here names the module to look at before the new version is locked.
"""

import inspect
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
import sigstore

# Module, private name, and the parameters of a method that the hub overrides or calls.
NAMES = [
    ("gunicorn.workers.gthread", "_DEFER", None),
    ("gunicorn.workers.gthread", "STOP_KEEPALIVE_LINGER", None),
    ("gunicorn.workers.gthread", "ThreadWorker.handle", ["self", "conn"]),
    ("gunicorn.workers.gthread", "ThreadWorker.murder_pending", ["self"]),
    ("gunicorn.workers.gthread", "ThreadWorker.set_accept_enabled", ["self", "enabled"]),
    ("gunicorn.workers.gthread", "ThreadWorker.finish_request", ["self", "conn", "fs"]),
    ("gunicorn.workers.gthread", "ThreadWorker._keepalive_after", ["self", "conn", "keepalive"]),
    ("gunicorn.workers.gthread", "ThreadWorker._cap_keepalive", ["self", "deadline"]),
    ("django.db.backends.base.base", "BaseDatabaseWrapper._prepare_cursor", ["self", "cursor"]),
    ("kombu.transport.filesystem", "Channel._put", ["self", "queue", "payload", "kwargs"]),
    ("kombu.transport.filesystem", "Channel._get", ["self", "queue"]),
    ("kombu.transport.filesystem", "Channel._size", ["self", "queue"]),
    ("kombu.transport.filesystem", "Channel._purge", ["self", "queue"]),
    ("kombu.transport.virtual", "Channel._delete", None),
    ("prometheus_client.values", "ValueClass", None),
    ("prometheus_client.values", "MultiProcessValue", None),
    ("django.middleware.csrf", "CsrfViewMiddleware._reject", ["self", "request", "reason"]),
    ("django.core.handlers.wsgi", "WSGIRequest._set_content_type_params", ["self", "meta"]),
    ("sigstore.verify.verifier", "Verifier._verify_timestamp_authority", ["self", "bundle"]),
]


@pytest.mark.parametrize(("module", "name", "parameters"), NAMES, ids=[name for _, name, _ in NAMES])
def test_private_name_of_a_library_exists(module: str, name: str, parameters: list[str] | None) -> None:
    found = attrgetter(name)(import_module(module))
    if parameters is not None:
        assert list(inspect.signature(found).parameters) == parameters


def test_thread_pool_has_a_work_queue() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert pool._work_queue.empty()


def test_sigstore_ships_its_trust_root() -> None:
    assert list((Path(sigstore.__file__).parent / "_store").glob("*/trusted_root.json"))
