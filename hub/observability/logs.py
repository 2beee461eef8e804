"""Lines of the log: for people, or as JSON; each with the id of the request that it belongs to, none with a secret.

What others wrote into a line can't end it, begin another, or move a terminal's cursor; see hub.plain_text.
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
# What a line of the access log says besides its words, in JSON alone; see hub.http.request_metrics.
EXTRA = ("method", "path", "route", "status", "ms", "bytes", "client", "who")


class Line(logging.Formatter):
    """For people: the words in one line, a trace below them."""

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


class Json(logging.Formatter):
    """For machines: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_ids.current.get(),
            "message": record.getMessage(),
            **{name: getattr(record, name, None) for name in EXTRA},
        }
        said = {name: one_line(value) if isinstance(value, str) else value for name, value in found.items()}
        said["trace"] = lines(self.formatException(record.exc_info)) if record.exc_info else ""
        kept = {name: value for name, value in said.items() if value not in (None, "")}
        return json.dumps({name: redacted(value) if isinstance(value, str) else value for name, value in kept.items()})


FORMATTERS: dict[str, type[logging.Formatter]] = {"line": Line, "json": Json}


def configure(settings: dict[str, Any]) -> None:
    """As Django's `LOGGING_CONFIG`. What libraries warn of is logged, too, instead of written to stderr as it is."""
    logging.config.dictConfig(settings)
    logging.captureWarnings(capture=True)
