"""A plugin that runs before the settings load (`-p tests.environment`): each process has its own data folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

folder = tempfile.mkdtemp(prefix="channelhub-tests-")


def remove_folder(owner: int) -> None:
    """Remove the folder when its owner ends. Forks of the owner end earlier."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


atexit.register(remove_folder, os.getpid())
os.environ["HUB_DATA_DIR"] = folder
# The folder that the processes of one test run share: that of the first of them.
shared = Path(os.environ.setdefault("TESTS_SHARED_DIR", folder))
os.environ.setdefault("SECRET_KEY", "only for tests")
# Up to 40 threads of a test start at the same moment, each with a connection (tests/threads.py).
os.environ.setdefault("HUB_DATABASE_CONNECTIONS", "48")
# While a Playwright browser is open, its event loop is in this thread. Its tests use the database, but no code of
# them runs in that loop.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
