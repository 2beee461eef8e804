"""Ids of rows that forms and queries of pages state."""

import pytest
from django.http import Http404

from channels_app.ui.ids import found_or_404, stated_id
from hub.errors import not_found


@pytest.mark.parametrize(
    ("text", "expected"), [("7", 7), ("", 0), ("-7", 0), ("7.0", 0), ("x", 0), ("\u0663", 0), ("9" * 5000, 0)]
)
def test_id_that_is_no_plain_number_is_no_rows(text: str, expected: int) -> None:
    assert stated_id(text) == expected


def test_missing_row_is_a_missing_page() -> None:
    def find(number: int) -> int:
        if number != 7:
            raise not_found("no_such_row", "There is no such row.")
        return number

    assert found_or_404(find, "7") == 7
    with pytest.raises(Http404):
        found_or_404(find, "8")
