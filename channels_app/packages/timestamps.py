"""The unit of a package's `timestamp` (CEP 34): milliseconds, but seconds as conda-build once wrote them. PURE."""

# conda and rattler take a smaller number for seconds; the same number of milliseconds would be 1978.
FIRST_MILLISECONDS = 253_402_300_800


def milliseconds(timestamp: int) -> int:
    """`timestamp` in milliseconds since 1970, as conda and rattler read it."""
    return timestamp if timestamp >= FIRST_MILLISECONDS else timestamp * 1000


def stated_ms(timestamp: object) -> int | None:
    """Read the timestamp of index.json in milliseconds; None where it states no time after 1970."""
    return milliseconds(timestamp) if type(timestamp) is int and timestamp > 0 else None
