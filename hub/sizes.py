"""Sizes in binary units, and their format for people. It is the one of the documentation."""

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def human_size(size_bytes: float) -> str:
    """Return a size such as `12.3 MiB`, without a zero digit. static/js/upload.js has the same function."""
    amount, steps = float(size_bytes), 0
    while amount >= KIB - 0.5 and steps < len(UNITS) - 1:
        amount, steps = amount / KIB, steps + 1
    digits = 1 if steps and amount < 99.95 else 0
    return f"{amount:.{digits}f}".removesuffix(".0") + f" {UNITS[steps]}"
