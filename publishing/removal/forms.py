"""Forms to yank, delete, restore and release artifacts."""

from typing import Any

from django import forms
from django.utils.html import format_html

REASON_MAX_CHARACTERS = 500


class RestoreForm(forms.Form):
    """A form without fields: a restore can be undone, so it needs no confirmation."""

    def __init__(self, *args: Any, name: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self.name = name


class YankForm(RestoreForm):
    reason = forms.CharField(
        required=False,
        max_length=REASON_MAX_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Shown with the file: what is wrong with it, what to use instead.",
    )


class ReleaseForm(RestoreForm):
    """A form that requires the typed name of the thing that it changes, because the action is hard to undo."""

    confirmation = forms.CharField(
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["confirmation"].label = format_html("Type <code>{}</code> to confirm", self.name)

    def clean_confirmation(self) -> str:
        typed: str = self.cleaned_data["confirmation"]
        if typed != self.name:
            raise forms.ValidationError(f"That is '{typed}'; expected '{self.name}'.")
        return typed


class DeleteForm(ReleaseForm, YankForm):
    field_order = ["reason", "confirmation"]
