"""Plots: counts → coordinates in a square of 100 by 100, which the page scales. It uses neither Django nor models."""

from collections.abc import Sequence
from datetime import date
from typing import Any

# The top of a plot is one of these times a power of ten.
ROUND_TOPS = (1, 2, 4, 5, 8, 10)


def area(days: Sequence[tuple[date, int]]) -> dict[str, Any]:
    """Return the line, the area, the columns of the days, the numbers of the axis, and the dates below."""
    counts = [count for _, count in days]
    top = round_top(max(counts, default=0))
    line = points(counts, top)
    width = 100 / max(len(days), 1)
    return {
        "total": sum(counts),
        "line": f"M{line}" if line else "",
        "area": f"M0,100 {line} 100,100Z" if line else "",
        "columns": [(f"{n * width:.2f}", f"{width:.2f}", day, count) for n, (day, count) in enumerate(days)],
        "numbers": [top, top // 2, 0],
        "dates": [days[0][0], days[len(days) // 2][0], days[-1][0]] if len(days) > 2 else [day for day, _ in days],
    }


def points(counts: Sequence[int], top: int) -> str:
    """Return the counts from left to right as `x,y x,y …`, with zero at the bottom."""
    step = 100 / max(len(counts) - 1, 1)
    return " ".join(f"{n * step:.2f},{100 - 100 * count / max(top, 1):.2f}" for n, count in enumerate(counts))


def round_top(highest: int) -> int:
    """Return the smallest round even number that is at least `highest` and at least 4."""
    scale = 1
    while True:
        for top in ROUND_TOPS:
            if top * scale >= max(highest, 4) and top * scale % 2 == 0:
                return top * scale
        scale *= 10
