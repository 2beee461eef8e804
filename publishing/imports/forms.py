"""Forms of imports."""

from typing import Any

from django import forms

from channels_app.identifiers import LABEL_MAX_CHARACTERS
from channels_app.ui.form_errors import raised_as_validation_error
from channels_app.ui.form_fields import AS_TYPED, Data, LinesField
from publishing.imports.imports import KEY_MAX_CHARACTERS, Wanted
from publishing.labels import names
from publishing.models import SourceKey
from publishing.record_filters import NEWEST_VERSIONS_MAX

SPECS = "One MatchSpec per line, such as numpy >=2 or acme-*. They match name, version, build and build number."


class KeyForm(forms.Form):
    """The key of a source, which no page shows again."""

    key = forms.CharField(
        required=False,
        max_length=KEY_MAX_CHARACTERS,
        widget=forms.PasswordInput(AS_TYPED | {"autocomplete": "new-password"}),
        help_text="Encrypted while the import runs, then deleted. No page shows it again.",
    )


class ImportForm(KeyForm):
    """The source of a new import, and its filters."""

    source = forms.CharField(
        label="Channel URL",
        max_length=500,
        widget=forms.URLInput(AS_TYPED | {"placeholder": "https://conda.example.org/bioconda"}),
        help_text="A channel that any conda server serves over https.",
    )
    key_kind = forms.ChoiceField(label="Key", choices=SourceKey.choices, initial=SourceKey.NONE)
    include = LinesField(label="Only these packages", help_text=f"{SPECS} Empty: all.")
    exclude = LinesField(label="Not these packages", help_text=SPECS)
    subdirs = LinesField(label="Platforms", help_text="One subdir per line, such as linux-64 or noarch. Empty: all.")
    newest_versions = forms.IntegerField(
        label="Newest versions",
        required=False,
        min_value=1,
        max_value=NEWEST_VERSIONS_MAX,
        help_text="Of each name on each platform, among the files that the other filters keep. Empty: all.",
    )
    label = forms.CharField(
        required=False,
        max_length=LABEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="New files get this label alone; files that are there already get it in addition. Empty: main.",
    )
    field_order = ["source", "key_kind", "key", "include", "exclude", "subdirs", "newest_versions", "label"]

    def __init__(self, data: Data = None) -> None:
        super().__init__(data)
        self.fields["key"].label = "The key itself"

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        with raised_as_validation_error():
            return names.folded(label) if label else ""

    def wanted(self) -> Wanted:
        values: dict[str, Any] = self.cleaned_data
        return Wanted(**values)
