"""Formatters of log lines, as text or as JSON: with the id of the request, and without secrets.

Text of others can't end a line, start another one, or move a terminal's cursor; see hub.plain_text.
"""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

from hub.observability import request_ids
from hub.observability.redaction import redacted
from hub.plain_text import lines, one_line

LINE = "%(asctime)s %(levelname)s %(name)s [%(request_id)s]: %(message)s"
# Extra fields of an access log line, only in JSON; see hub.http.request_metrics.
EXTRA = ("method", "path", "route", "status", "ms", "bytes", "client", "who")


class TextFormatter(logging.Formatter):
    """Text for people: the message on one line, a traceback below it."""

    def __init__(self) -> None:
        super().__init__(LINE)

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_ids.current.get() or "-"
        return redacted(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return lines(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return lines(super().formatStack(stack_info))


class JsonFormatter(logging.Formatter):
    """JSON for programs: one object per line."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_ids.current.get(),
            "message": record.getMessage(),
            **{name: getattr(record, name, None) for name in EXTRA},
        }
        one_lined = {name: one_line(value) if isinstance(value, str) else value for name, value in found.items()}
        one_lined["trace"] = lines(self.formatException(record.exc_info)) if record.exc_info else ""
        present = {name: value for name, value in one_lined.items() if value not in (None, "")}
        return json.dumps(
            {name: redacted(value) if isinstance(value, str) else value for name, value in present.items()}
        )


FORMATTERS: dict[str, type[logging.Formatter]] = {"line": TextFormatter, "json": JsonFormatter}


def configure(settings: dict[str, Any]) -> None:
    """Configure logging, as Django's `LOGGING_CONFIG`. Warnings of libraries are logged, not written to stderr."""
    logging.config.dictConfig(settings)
    logging.captureWarnings(capture=True)
