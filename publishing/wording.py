"""Formats of values in messages: quoted text and sizes."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

QUOTE_MAX_CHARACTERS = 100


def quote(value: object) -> str:
    """Return untrusted `value` in quotes for a message: escaped, and shortened to 100 characters."""
    text = ascii(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return text if len(text) <= QUOTE_MAX_CHARACTERS else f"{text[:QUOTE_MAX_CHARACTERS]}…"


def human_size(size_bytes: int) -> str:
    """Return a size in its largest binary unit: '256 MiB'."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.4g} {name}"
    return f"{size_bytes} bytes"
