"""The filters of the page on which files are selected."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from channels_app.packages.queries import STATES
from channels_app.ui.form_fields import AS_TYPED, Data

DAYS = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(9000, 1, 1))]
TEXT: dict[str, Any] = {"required": False, "max_length": 200, "widget": forms.TextInput(AS_TYPED)}
DAY: dict[str, Any] = {
    "required": False,
    "validators": DAYS,
    "widget": forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
}


class FilterForm(forms.Form):
    """Conditions on files, which must all hold. Both days are part of the period."""

    name = forms.CharField(label="Package", **TEXT)
    version = forms.CharField(**TEXT)
    build = forms.CharField(**TEXT)
    file_pattern = forms.CharField(label="File name (* and ?)", **TEXT)
    subdir = forms.ChoiceField(required=False, label="Platform")
    label = forms.CharField(**TEXT)
    state = forms.ChoiceField(
        required=False, choices=[("", "Every state"), *((state, state.capitalize()) for state in STATES)]
    )
    since = forms.DateField(label="Published from", **DAY)
    until = forms.DateField(label="Published to", **DAY)

    def __init__(self, subdirs: Iterable[str], data: Data) -> None:
        super().__init__(data)
        self.fields["subdir"].choices = [("", "All platforms"), *((subdir, subdir) for subdir in subdirs)]  # type: ignore[attr-defined]

    def conditions(self) -> dict[str, Any]:
        """Return the arguments of queries.find_artifacts()."""
        values = dict(self.cleaned_data)
        since, until = values.pop("since"), values.pop("until")
        return values | {
            "uploaded_since": since and _start(since),
            "uploaded_before": until and _start(until + timedelta(days=1)),
        }


def _start(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
