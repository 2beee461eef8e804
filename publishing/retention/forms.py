"""The form of a retention rule."""

from typing import Any

from django import forms

from channels_app.models import RetentionRule
from channels_app.ui.form_fields import Data, LinesField
from publishing.retention.rules import NUMBERS, TITLE_MAX_CHARACTERS, Rule


class NumberField(forms.IntegerField):
    """An optional number of a rule, within its limits."""

    def __init__(self, name: str, **values: Any) -> None:
        least, most = NUMBERS[name]
        super().__init__(required=False, min_value=least, max_value=most, **values)


class RuleForm(forms.Form):
    """A form for a new rule, or for a saved one."""

    title = forms.CharField(max_length=TITLE_MAX_CHARACTERS, help_text="Why the rule exists. Yanked files state it.")
    names = LinesField(label="Package names", help_text="One per line; * matches any text. Empty: all packages.")
    labels = LinesField(
        label="With one of the labels",
        help_text="One per line; * matches any text. Versions and builds count among these files. Empty: all files.",
    )
    without_labels = LinesField(label="With none of the labels", help_text="One per line; * matches any text.")
    keep_versions = NumberField("keep_versions", label="Keep the newest versions")
    keep_builds = NumberField("keep_builds", label="Keep the newest builds")
    older_than_days = NumberField("older_than_days", label="Older than, in days")
    unused_days = NumberField("unused_days", label="Not downloaded for, in days")
    protected_names = LinesField(
        label="Protected names", help_text="One per line; * matches any text. No rule of the channel touches them."
    )
    protected_versions = LinesField(
        label="Protected versions",
        help_text="One version spec per line, such as >=1.2,<2. No rule touches these versions of the package names.",
    )
    protected_labels = LinesField(
        label="Protected labels",
        help_text="One per line; * matches any text. No rule of the channel touches files with one of them.",
    )
    delete_after_days = NumberField(
        "delete_after_days",
        label="Delete after, in days",
        help_text="Counted from the yank. Empty: yanked files are never deleted.",
    )

    def __init__(self, row: RetentionRule | None = None, data: Data = None) -> None:
        self.rule_id = row.pk if row else 0
        initial = {name: getattr(row, name) for name in self.base_fields} if row else {"delete_after_days": 30}
        super().__init__(data, initial=initial)

    def rule(self) -> Rule:
        return Rule(id=self.rule_id, **self.cleaned_data)
