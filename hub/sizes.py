"""Sizes for people: in binary units, as the documentation has them."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
STEP = 1024


def in_words(size_bytes: float) -> str:
    """Return a size such as `12.3 MiB`, without a zero digit. static/js/upload.js has the same function."""
    amount, steps = float(size_bytes), 0
    while amount >= STEP - 0.5 and steps < len(UNITS) - 1:
        amount, steps = amount / STEP, steps + 1
    digits = 1 if steps and amount < 99.95 else 0
    return f"{amount:.{digits}f}".removesuffix(".0") + f" {UNITS[steps]}"
