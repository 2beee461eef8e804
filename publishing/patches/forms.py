"""Forms of patches: a rule, and an import."""

from datetime import UTC, date, datetime, time
from typing import Any

from django import forms
from django.utils.html import format_html

from channels_app.ui.form_fields import Data
from publishing.index.patching import LISTS, TEXTS
from publishing.models import Patch
from publishing.patches import spec_lines
from publishing.patches.changes import BadPatch
from publishing.patches.rules import BUILD_MAX_CHARACTERS, TITLE_MAX_CHARACTERS, VERSION_MAX_CHARACTERS, NewRule

# The text by which the form removes a value.
NO_VALUE = "-"
LINES_MAX_CHARACTERS = 20_000
NAMES_MAX_CHARACTERS = 4000
LABELS = {
    "license": "Licence",
    "license_family": "Licence family",
    "track_features": "Track features",
    "features": "Features",
}


class SpecLinesField(forms.CharField):
    """Changes of a list of specs, one in each line."""

    def __init__(self, **options: Any) -> None:
        widget = forms.Textarea({"rows": 3, "spellcheck": "false", "class": "mono"})
        super().__init__(required=False, max_length=LINES_MAX_CHARACTERS, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        try:
            return spec_lines.parse(super().clean(value))
        except BadPatch as error:
            raise forms.ValidationError(error.reason) from None


class WordsField(forms.CharField):
    """Words with commas or blanks between them."""

    def clean(self, value: Any) -> Any:
        return super().clean(value).replace(",", " ").split()


class RuleForm(forms.Form):
    """A form for a new rule, or for another version of a present one. Changes that it does not show stay.

    `conditions` are those of a new rule that the form begins with.
    """

    title = forms.CharField(label="Reason", max_length=TITLE_MAX_CHARACTERS, help_text="Why the patch exists.")
    names = WordsField(
        label="Packages",
        required=False,
        max_length=NAMES_MAX_CHARACTERS,
        help_text="Names with commas between them; * and ? are wildcards. Empty: all packages.",
    )
    version = forms.CharField(
        required=False,
        max_length=VERSION_MAX_CHARACTERS,
        help_text="A constraint such as >=1.2,<2. Empty: all versions.",
    )
    build = forms.CharField(
        required=False, max_length=BUILD_MAX_CHARACTERS, help_text="A build such as py311*. Empty: all builds."
    )
    subdirs = WordsField(
        label="Platforms", required=False, max_length=NAMES_MAX_CHARACTERS, help_text="Such as linux-64, noarch."
    )
    built_from = forms.DateField(
        label="Built from (UTC)",
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text="This day included.",
    )
    built_before = forms.DateField(
        label="Built before (UTC)",
        required=False,
        widget=forms.DateInput({"type": "date"}),
        help_text="This day excluded, so that later builds without the fault stay as they are.",
    )
    depends = SpecLinesField(
        label="Dependencies",
        help_text=format_html(
            "One change in each line: <code>+ {}</code>, <code>- six</code>, <code>{}</code>. A bare name stands for "
            "every constraint on that package. Lines with <code>=</code> are a new list.",
            "numpy <2",
            "numpy -> numpy >=1.21,<2",
        ),
    )
    constrains = SpecLinesField(label="Constraints on other packages", help_text="As for dependencies.")
    removed = forms.BooleanField(label="Remove from the index; the URL still works", required=False)
    revoked = forms.BooleanField(label="Keep in the index, but impossible to install", required=False)

    def __init__(
        self, patch: Patch | None = None, data: Data = None, *, conditions: dict[str, Any] | None = None
    ) -> None:
        self._kept = patch.changes if patch else {}
        super().__init__(data, initial=_initial(patch) if patch else conditions)
        for key in TEXTS:
            self.fields[key] = forms.CharField(label=LABELS[key], required=False, max_length=1000)
        self.fields["license"].help_text = f"A new text, or {NO_VALUE} to remove the value."

    def rule(self) -> NewRule:
        values = self.cleaned_data
        return NewRule(
            changes=self._changes(),
            built_from=_midnight(values["built_from"]),
            built_before=_midnight(values["built_before"]),
            **{name: values[name] for name in ("title", "names", "version", "build", "subdirs")},
        )

    def _changes(self) -> dict[str, Any]:
        changes = {key: change for key, change in self._kept.items() if key not in self.fields}
        for key in (*LISTS, "removed", "revoked"):
            if change := self.cleaned_data[key]:
                changes[key] = change
            elif change == []:
                changes[key] = []
        for key in TEXTS:
            if text := self.cleaned_data[key]:
                changes[key] = None if text == NO_VALUE else text
        return changes


class ImportForm(forms.Form):
    """A form for a patch_instructions.json, or for a patch package."""

    file = forms.FileField(
        required=False,
        label="File",
        help_text="patch_instructions.json, also compressed by zstd, or a patch package. At most 1 MiB.",
    )
    subdir = forms.CharField(
        required=False, max_length=32, label="Platform", help_text="Of a patch_instructions.json, such as linux-64."
    )
    artifact = forms.CharField(
        required=False,
        max_length=250,
        label="Or a patch package of this channel",
        help_text="Its platform and file name: noarch/patches-1.0-0.conda.",
    )

    def clean(self) -> dict[str, Any]:
        if bool(self.cleaned_data.get("file")) == bool(self.cleaned_data.get("artifact")):
            raise forms.ValidationError("Choose a file, or name a package of the channel.")
        return self.cleaned_data


def _initial(patch: Patch) -> dict[str, Any]:
    """Return the initial values of the form for a rule."""
    changes = patch.changes
    conditions = {"title": patch.title, "version": patch.version, "build": patch.build}
    lists = {"names": ", ".join(patch.names), "subdirs": ", ".join(patch.subdirs)}
    times = {"built_from": patch.built_from, "built_before": patch.built_before}
    return {
        **conditions,
        **lists,
        **{name: at.date() if at else None for name, at in times.items()},
        **{key: spec_lines.written(changes.get(key)) for key in LISTS},
        **{key: NO_VALUE if changes[key] is None else changes[key] for key in TEXTS if key in changes},
        **{key: changes.get(key, False) for key in ("removed", "revoked")},
    }


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time(), UTC) if day else None
