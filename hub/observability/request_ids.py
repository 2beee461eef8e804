"""One id for all that a request leads to: its lines in the log, its answer, the jobs that it sends, their lines."""

import re
import secrets
from contextvars import ContextVar

HEADER = "X-Request-ID"
# What proxies and load balancers make: UUIDs, hexadecimal numbers, AWS's "Root=1-67891233-abcdef012345678912345678".
SHAPE = re.compile(r"[A-Za-z0-9=._:-]{8,80}\Z")

current: ContextVar[str] = ContextVar("request_id", default="")


def begin(offered: str | None = None) -> str:
    """Take the id that somebody trusted offers, where it has the shape of one, or make one."""
    request_id = offered if offered and SHAPE.match(offered) else secrets.token_hex(8)
    current.set(request_id)
    return request_id
