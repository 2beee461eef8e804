"""Generated requests to every endpoint of the OpenAPI document: `python -m tests.rest.fuzz [--cases N] [--seed N]`.

schemathesis makes valid and invalid requests and judges the answers by the document. Each runs on unchanged data.
"""

import argparse
import os
import random
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption
from hypothesis.strategies import DataObject, data
from schemathesis import openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import ignored_auth

from hub.wsgi import application
from tests.builders import make_key
from tests.callers import by_session, somebody

CASES, SEED = "REST_FUZZ_CASES", "REST_FUZZ_SEED"
TEST = str(Path(__file__).with_name("test_schemathesis.py"))

ACCEPTED = ["2xx", "3xx", "400", "401", "403", "404", "409", "412", "422", "429"]
# Codes of requests that break the document's own schemas. Other refusals are rules that no schema can state.
INVALID = ("invalid_value", "bad_json")
# Values of path parameters that exist in the world of the access matrix (tests/callers.py).
KNOWN: dict[str, list[Any]] = {
    "channel": ["demo", "open"],
    "subdir": ["noarch"],
    "file_name": ["pack-1.0-0.conda"],
    "package": ["pack"],
    "name": ["viewer", "team", "pack", "owner"],
    "kind": ["users", "teams"],
    "team": ["team"],
    "username": ["viewer", "stranger"],
    "publisher_id": [1],
    "patch_id": [1, 2],
}
KNOWN_SHARE = 0.8
# Rejected draws in a row after which no such request exists. Hypothesis itself would draw 459 times.
REJECTED_MAX = 30
CSRF_TOKEN = "a" * 32
Caller = tuple[dict[str, str], dict[str, str]]  # headers and cookies


class Fuzz:
    """Requests with the credentials of several callers. `seen` counts the statuses, `failures` has one a fault."""

    def __init__(self, seed: int, callers: list[Caller]) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.callers = callers
        self.seen: Counter[int] = Counter()
        self.failures: dict[str, str] = {}

    def run(self, cases: int) -> None:
        """Divide the cases among the operations, half of them valid and half invalid."""
        found = list(operations())
        each = max(1, cases // (2 * len(found)))
        for operation in found:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                self._try(operation, mode, each)

    def _try(self, operation: Any, mode: Any, cases: int) -> None:
        strategy, rejected = operation.as_strategy(generation_mode=mode), 0

        @seed(self.seed)
        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(data=data())
        def send(data: DataObject) -> None:
            nonlocal rejected
            try:
                case = data.draw(strategy)
            except UnsatisfiedAssumption:
                rejected += 1
                if rejected > REJECTED_MAX:
                    raise Unsatisfiable from None
                raise
            rejected = 0
            self._send(case, is_valid=mode is GenerationMode.POSITIVE)

        # Where every value is valid, there is no invalid request.
        with suppress(Unsatisfiable):
            send()

    def _send(self, case: Any, *, is_valid: bool) -> None:
        headers, cookies = self.random.choice(self.callers)
        for name in case.path_parameters or {}:
            if name in KNOWN and self.random.random() < KNOWN_SHARE:
                case.path_parameters[name] = self.random.choice(KNOWN[name])
        with undone():
            response = case.call(headers=headers | {"Accept-Encoding": "identity"}, cookies=cookies)
            self.seen[response.status_code] += 1
            try:
                # The check takes every session for a generated one, and so for invalid.
                case.validate_response(response, headers=headers, excluded_checks=[ignored_auth] if cookies else [])
            except FailureGroup as found:
                for error in found.exceptions:
                    self._note(case, error, response)
            if is_valid and response.headers.get("x-error-code", [""])[0] in INVALID:
                self._note(case, AssertionError("A valid request is refused as invalid."), response)

    def _note(self, case: Any, error: BaseException, response: Any) -> None:
        title = f"{case.operation.label}: {type(error).__name__}: {getattr(error, 'title', '')}"
        if title not in self.failures:
            answer = f"{response.status_code} {response.content[:500]!r}"
            self.failures[title] = f"{error}\n{answer}\n{case.path_parameters} {case.query} {case.headers} {case.body}"


def operations() -> Iterator[Any]:
    """Return the operations of the document, which the hub's WSGI application answers."""
    checks = {"positive_data_acceptance": {"expected-statuses": ACCEPTED}}
    config = SchemathesisConfig.from_dict({"checks": checks, "generation": {"with-security-parameters": False}})
    schema = openapi.from_wsgi("/api/v1/openapi.json", local_application, config=config)
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result.err()
        yield result.ok()


def local_application(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer by the hub. werkzeug's client sends no address of its own."""
    return application(environ | {"REMOTE_ADDR": "127.0.0.1"}, start_response)


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def credentials() -> list[Caller]:
    """Return callers in the world of the access matrix."""
    owner = somebody("owner")
    keys = [("read",), ("read", "manage"), ("read", "upload", "delete", "manage")]
    found: list[Caller] = [({}, {})]
    found += [({"Authorization": f"Bearer {make_key(owner, scopes=scopes)}"}, {}) for scopes in keys]
    for name in ("owner", "owner", "admin", "viewer"):
        session = by_session(name)().cookies["sessionid"].value
        found.append(({"X-CSRFToken": CSRF_TOKEN}, {"sessionid": session, "csrftoken": CSRF_TOKEN}))
    return found


def main() -> None:
    """Run the test of this module with more cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    chosen = parser.parse_args()
    os.environ[CASES], os.environ[SEED] = str(chosen.cases), str(chosen.seed)
    sys.exit(pytest.main(["-q", "-s", "-p", "no:xdist", "-o", "addopts=-p tests.environment -p no:schemathesis", TEST]))


if __name__ == "__main__":
    main()
