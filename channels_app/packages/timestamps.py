"""The unit of a package's `timestamp` (CEP 34): milliseconds, or seconds from old versions of conda-build."""

# conda and rattler read a smaller number as seconds. As milliseconds this number is in 1978.
FIRST_MILLISECONDS = 253_402_300_800


def milliseconds(timestamp: int) -> int:
    """Return `timestamp` in milliseconds since 1970, as conda and rattler read it."""
    return timestamp if timestamp >= FIRST_MILLISECONDS else timestamp * 1000


def stated_ms(timestamp: object) -> int | None:
    """Return the timestamp of index.json in milliseconds; None if it is not a time after 1970."""
    return milliseconds(timestamp) if type(timestamp) is int and timestamp > 0 else None
