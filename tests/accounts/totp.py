"""Codes of an authenticator app (RFC 6238), computed independently of the hub."""

import base64
import hmac
import struct
import time

PERIOD_S = 30
TYPED_WITHIN_S = 8


def code(secret: str, *, later_s: int = 0) -> str:
    """Return the code of `secret` in `later_s` seconds.

    For the current code, wait until it stays valid for long enough.
    """
    left_s = PERIOD_S - time.time() % PERIOD_S
    if not later_s and left_s < TYPED_WITHIN_S:
        time.sleep(left_s)
    count = struct.pack(">Q", int(time.time() + later_s) // PERIOD_S)
    digest = hmac.digest(base64.b32decode(secret), count, "sha1")
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06}"
