"""The platforms of a package in one line of a list."""

import pytest

from channels_app.templatetags.packages import systems

MANY = [f"os{number}-64" for number in range(9)]
LINUX = '<span class="chip" title="linux-64, linux-aarch64">linux &times;2</span>'
WINDOWS = '<span class="chip">win-64</span>'


@pytest.mark.parametrize(
    ("subdirs", "chips"),
    [
        ([], ""),
        (["win-64"], WINDOWS),
        (["linux-64", "linux-aarch64", "win-64"], LINUX + WINDOWS),
        (["win-64", "linux-64", "linux-aarch64"], WINDOWS + LINUX),
    ],
)
def test_subdirs_of_one_system_share_a_chip(subdirs: list[str], chips: str) -> None:
    assert systems(subdirs) == chips


def test_more_systems_than_a_line_holds_are_counted() -> None:
    found = systems([*MANY, "os0-32"])
    assert found.count('class="chip"') == 4
    assert found.endswith('<span class="faint">+5</span>')


def test_title_of_a_chip_is_bounded() -> None:
    assert systems([f"linux-{number}" for number in range(5000)]).count(",") == 11
