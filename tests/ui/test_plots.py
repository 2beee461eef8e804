"""Tests of plots: counts become coordinates."""

from datetime import date

import pytest

from channels_app.ui import plots


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 4), (1, 4), (4, 4), (5, 8), (9, 10), (11, 20), (41, 50), (99, 100), (140, 200), (4001, 5000)],
)
def test_the_top_is_round_even_and_never_below_the_highest(highest: int, top: int) -> None:
    assert plots.round_top(highest) == top


def test_an_area_fills_the_square_from_left_to_right() -> None:
    plot = plots.area([(date(2026, 11, 18), 0), (date(2026, 11, 19), 4), (date(2026, 11, 20), 2)])

    assert plot["line"] == "M0.00,100.00 50.00,0.00 100.00,50.00"
    assert plot["area"] == "M0,100 0.00,100.00 50.00,0.00 100.00,50.00 100,100Z"
    assert plot["columns"][1] == ("33.33", "33.33", date(2026, 11, 19), 4)
    assert (plot["total"], plot["numbers"]) == (6, [4, 2, 0])
    assert plot["dates"] == [date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20)]


def test_no_day_and_one_day_are_plots_too() -> None:
    assert plots.area([])["line"] == ""
    assert plots.area([(date(2026, 11, 20), 3)])["dates"] == [date(2026, 11, 20)]
