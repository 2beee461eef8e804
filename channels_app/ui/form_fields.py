"""Form fields and forms that several packages share."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict

from channels_app.models import Channel, Team

# Attributes for names and keys: no automatic capitals, no completion, no spelling check.
AS_TYPED = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}
# The data that a form is bound to; None for an unbound form.
Data = Mapping[str, Any] | None
Files: TypeAlias = "MultiValueDict[str, UploadedFile[Any]] | None"


class GlobsField(forms.CharField):
    """Package names, separated by spaces, lines or commas; the cleaned value is a list."""

    def __init__(self, *, action: str = "upload") -> None:
        super().__init__(
            required=False,
            label="Package names",
            widget=forms.Textarea(AS_TYPED | {"rows": 2, "placeholder": "sample\nsample-*"}),
            help_text=f"Names of packages that it may {action}, one per line; * matches any text. Empty: all packages.",
        )

    def clean(self, value: Any) -> list[str]:
        return str(super().clean(value)).replace(",", " ").split()


class LinesField(forms.CharField):
    """A list of texts, one per line. `initial` may be the list."""

    def __init__(self, *, rows: int = 2, **values: Any) -> None:
        super().__init__(required=False, widget=forms.Textarea(AS_TYPED | {"rows": rows}), **values)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(map(str, value)) if isinstance(value, list | tuple) else value

    def clean(self, value: Any) -> list[str]:
        return [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]


class ConfirmForm(forms.Form):
    """A confirmation of an act that is hard to undo: the user types the name of the object."""

    confirm = forms.CharField(max_length=200, widget=forms.TextInput(AS_TYPED))

    def __init__(self, concerned: Channel | Team, data: Data = None, *, prefix: str) -> None:
        super().__init__(data, prefix=prefix)
        self.concerned = concerned

    def clean_confirm(self) -> str:
        typed: str = self.cleaned_data["confirm"]
        if typed != self.concerned.name:
            kind = self.concerned._meta.verbose_name
            raise ValidationError(f"That is '{typed}'; expected the {kind}'s name, '{self.concerned.name}'.")
        return typed
