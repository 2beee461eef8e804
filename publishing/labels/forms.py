"""The forms of labels."""

from datetime import UTC, datetime, time
from typing import Any

from django import forms

from channels_app.identifiers import LABEL_MAX_CHARACTERS
from channels_app.models import Label
from channels_app.ui.form_fields import AS_TYPED, Data
from publishing.removal.forms import RestoreForm

NAMES: dict[str, Any] = {"required": False, "max_length": 1000, "widget": forms.TextInput(AS_TYPED)}


class ExpiryForm(forms.Form):
    """A form for the end of a label."""

    last_day = forms.DateField(
        required=False,
        label="Last day (UTC)",
        widget=forms.DateInput({"type": "date"}),
        help_text="Then the label is deleted, with the files that have no other. Empty: never.",
    )

    def __init__(self, label: Label | None = None, data: Data = None) -> None:
        expires_at = label.expires_at if label else None
        super().__init__(data, initial={"last_day": expires_at and expires_at.date()})

    def expires_at(self) -> datetime | None:
        """Return the end of the last day."""
        day = self.cleaned_data["last_day"]
        return day and datetime.combine(day, time(23, 59, 59), UTC)


class LabelForm(ExpiryForm):
    """A form for a new label."""

    name = forms.CharField(
        max_length=LABEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED | {"placeholder": "pr-123"}),
        help_text="Letters a-z, digits, '.', '_' and '-'.",
    )
    field_order = ["name", "last_day"]


class EditForm(RestoreForm):
    """A form that adds labels to files and removes others."""

    add = forms.CharField(label="Add labels", **NAMES)
    remove = forms.CharField(label="Remove labels", help_text="Separated by commas.", **NAMES)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not any(cleaned.values()):
            raise forms.ValidationError("State a label to add or to remove.")
        return cleaned


class DeletionForm(forms.Form):
    """A form that deletes a label."""

    with_files = forms.BooleanField(
        required=False,
        label="Delete the files that have no other label, too",
        help_text="They can be restored for a while.",
    )
