"""Forms to choose files, to promote them, and to roll a promotion back."""

from typing import Any

from django import forms

from channels_app.identifiers import LABEL_MAX_CHARACTERS, MAIN_LABEL
from channels_app.models import Channel
from channels_app.ui.form_fields import AS_TYPED, Data
from publishing.models import PromotionRule
from publishing.promotion.rules import ANY, Needed
from publishing.removal.forms import REASON_MAX_CHARACTERS

TEXT: dict[str, Any] = {"required": False, "max_length": 200, "widget": forms.TextInput(AS_TYPED)}


class FilesForm(forms.Form):
    """Conditions on the files to promote, which must all hold."""

    name = forms.CharField(label="Package", **TEXT)
    version = forms.CharField(**TEXT)
    file_name = forms.CharField(label="File name", **TEXT)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        required=False,
        max_length=REASON_MAX_CHARACTERS,
        widget=forms.Textarea({"rows": 2}),
        help_text="Shown with the promotion to those who may upload to its channel.",
    )


class PromoteForm(ReasonForm):
    """The target of a promotion, and its options."""

    target = forms.ChoiceField(label="To channel")
    label = forms.CharField(
        required=False,
        max_length=LABEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="New files get this label alone; files that are there already get it in addition.",
    )
    is_move = forms.BooleanField(required=False)
    replaces = forms.BooleanField(
        required=False,
        label="Replace other bytes",
        help_text="Of files with the same name, if the channel allows overwriting.",
    )
    field_order = ["target", "label", "is_move", "replaces", "reason"]

    def __init__(self, source: Channel, targets: list[str], *, may_move: bool, data: Data = None) -> None:
        super().__init__(data, initial={"label": MAIN_LABEL})
        self.fields["target"].choices = [("", "Choose a channel"), *((name, name) for name in targets)]  # type: ignore[attr-defined]
        if may_move:
            self.fields["is_move"].label = f"Move: delete the files in {source}"
            self.fields["is_move"].help_text = "A rollback restores them within the grace period."
        else:
            del self.fields["is_move"]

    def clean_label(self) -> str:
        """Return the label in lower case, as uploads take it; `main` without one."""
        return self.cleaned_data["label"].lower() or MAIN_LABEL

    def flags(self) -> dict[str, bool]:
        """Return the arguments of Wanted that the check boxes stand for."""
        return {name: bool(self.cleaned_data.get(name)) for name in ("is_move", "replaces")}


class RuleForm(forms.Form):
    """A rule for promotions from one channel, or from all others."""

    source = forms.CharField(
        label="From channel",
        max_length=128,
        widget=forms.TextInput(AS_TYPED),
        help_text=f"The name of a channel, or {ANY} for all channels without a rule of their own.",
    )
    needs = forms.ChoiceField(
        label="By whom",
        choices=[
            (Needed.UPLOAD.value, "Everybody who may upload here"),
            (Needed.MANAGE.value, "Maintainers and owners"),
            (Needed.OWN.value, "Owners"),
        ],
    )
    needs_approval = forms.BooleanField(
        required=False,
        label="A second person approves",
        help_text="A promotion waits until another member with the same right approves it. Those members get a mail.",
    )
    keeps_attestations = forms.BooleanField(
        required=False,
        label="Accept attestations for the other channel",
        help_text="They go along and count where this channel requires one. Clients that compare the channel of an "
        "attestation refuse them.",
    )

    def __init__(self, rule: PromotionRule | None = None, data: Data = None) -> None:
        names = ("source", "needs", "needs_approval", "keeps_attestations")
        super().__init__(data, initial={name: getattr(rule, name) for name in names} if rule else None)
