"""Loaded before the settings are (`-p tests.environment`): each test process has a data folder of its own."""

import atexit
import os
import shutil
import tempfile

folder = tempfile.mkdtemp(prefix="channelhub-tests-")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
os.environ["HUB_DATA_DIR"] = folder
os.environ.setdefault("SECRET_KEY", "only for tests")
# Up to 40 threads of a test begin at the same moment, each with a connection (tests/threads.py).
os.environ.setdefault("HUB_DATABASE_CONNECTIONS", "48")
# While a browser of Playwright is open, its event loop stands in this thread; tests of files that come later use the
# database all the same, and nothing of it runs in that loop.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
