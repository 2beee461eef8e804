"""Work of many parts of which one may fail."""

import logging
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)


def attempt_each(parts: Iterable[Callable[[], object]]) -> None:
    """Call each part, also after another has failed. Log the errors, and raise the first one at the end."""
    errors = []
    for part in parts:
        try:
            part()
        except Exception as error:
            logger.exception("a part of a job failed; the others go on")
            errors.append(error)
    if errors:
        raise errors[0]
