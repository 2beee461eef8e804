"""The request id, shared by the response, the log lines and the jobs of one request."""

import re
import secrets
from contextvars import ContextVar

HEADER = "X-Request-ID"
# Ids of proxies and load balancers: UUIDs, hexadecimal numbers, AWS's "Root=1-67891233-abcdef012345678912345678".
SHAPE = re.compile(r"[A-Za-z0-9=._:-]{8,80}\Z")

current: ContextVar[str] = ContextVar("request_id", default="")


def begin(offered: str | None = None) -> str:
    """Set the current id to `offered`, from a trusted source, if it has the right shape; else create one."""
    request_id = offered if offered and SHAPE.match(offered) else secrets.token_hex(8)
    current.set(request_id)
    return request_id
