"""Formats of untrusted values in messages."""

QUOTE_MAX_CHARACTERS = 100


def quote(value: object) -> str:
    """Return untrusted `value` in quotes for a message: escaped, and shortened to 100 characters."""
    text = ascii(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return text if len(text) <= QUOTE_MAX_CHARACTERS else f"{text[:QUOTE_MAX_CHARACTERS]}…"
