"""Quoted values and sizes as messages show them."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

QUOTE_MAX_CHARACTERS = 100


def quote(value: object) -> str:
    """Return untrusted `value` as a message may quote it: escaped, and at most 100 characters long."""
    text = ascii(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return text if len(text) <= QUOTE_MAX_CHARACTERS else f"{text[:QUOTE_MAX_CHARACTERS]}…"


def human_size(size_bytes: int) -> str:
    """Return a size for people: '256 MiB'."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.4g} {name}"
    return f"{size_bytes} bytes"
