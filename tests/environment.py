"""Loaded before the settings are (`-p tests.environment`): each test process has a data folder of its own."""

import atexit
import os
import shutil
import tempfile

import pytest

folder = tempfile.mkdtemp(prefix="channelhub-tests-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ["HUB_DATA_DIR"] = folder
os.environ.setdefault("SECRET_KEY", "only for tests")
# Up to 40 threads of a test begin at the same moment, each with a connection (tests/threads.py).
os.environ.setdefault("HUB_DATABASE_CONNECTIONS", "48")
# While a browser of Playwright is open, its event loop stands in this thread; tests of files that come later use the
# database all the same, and nothing of it runs in that loop.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: half as many again as there are cores, since many tests wait for a browser or for a hub."""
    cores = os.cpu_count() or 1
    return cores + (cores + 1) // 2
