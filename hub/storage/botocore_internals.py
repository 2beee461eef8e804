"""botocore's internal names, behind functions of the hub. A test in tests/hub fails if one changes."""

from datetime import datetime
from typing import Any

from botocore import parsers
from botocore.utils import parse_timestamp


def parse_times_fast() -> None:
    """Let clients that are made afterwards read times as parsed_time() does.

    A list of a thousand keys has a thousand times, on which botocore spends three quarters of its work.
    """
    parsers.DEFAULT_TIMESTAMP_PARSER = parsed_time


def parsed_time(value: Any) -> datetime:
    """Return a time of ISO 8601 with its zone by Python's parser, and any other by botocore's."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return parse_timestamp(value)
    return found if found.tzinfo else parse_timestamp(value)
