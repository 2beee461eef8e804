"""The start of a program."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# The tag of checks of what an operator sets. The hub's commands run these alone: the checks of the code, such as of its
# URLs, take half of a start. `make lint` runs all.
SETTINGS = "settings"


@contextmanager
def without_collections() -> Iterator[None]:
    """Import modules without collecting garbage, which takes a quarter of the time and finds nearly none.

    Later collections skip what was imported.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
