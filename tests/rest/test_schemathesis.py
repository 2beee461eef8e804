"""A short run of tests/rest/fuzz.py. Its command runs this test with more cases."""

import os
import sys

import pytest
from pytest_django import Settings

from channels_app.rate_limits.counters import LIMITS
from tests.callers import make_world
from tests.rest import fuzz

pytestmark = pytest.mark.django_db


def test_generated_requests_get_documented_answers(settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = dict.fromkeys(LIMITS, 10**6)
    make_world()
    run = fuzz.Fuzz(int(os.environ.get(fuzz.SEED, 14)), fuzz.credentials())
    run.run(int(os.environ.get(fuzz.CASES, 150)))
    sys.stdout.write(f"{run.seen.total()} cases with seed {run.seed}: {dict(sorted(run.seen.items()))}\n")
    assert not run.failures, "\n\n".join(f"{title}\n{details}" for title, details in run.failures.items())
