"""The form of the members and rules of a virtual channel: one per line."""

from django import forms

from channels_app.ui.form_fields import Data, LinesField
from hub.errors import HubError, unprocessable
from publishing.models import NameAct
from publishing.virtual.virtual import MemberText, RuleText, Wanted
from publishing.wording import QUOTE_MAX_CHARACTERS

RESERVED = "reserved"
TEXT_MAX_CHARACTERS = 200_000


class VirtualForm(forms.Form):
    """The members and rules as texts, such as `acme/label/dev` and `acme-* only from acme`."""

    members = LinesField(
        max_length=TEXT_MAX_CHARACTERS,
        label="Member channels",
        rows=5,
        help_text="One per line, the first comes first: a channel, or CHANNEL/label/LABEL. Move a line to change the "
        "order.",
    )
    rules = LinesField(
        max_length=TEXT_MAX_CHARACTERS,
        label="Rules of names",
        rows=5,
        help_text="One per line: “acme-* only from acme”, “numpy never from acme”, or “acme-secret-* reserved” for "
        "names that no member may bring.",
    )

    def __init__(self, stated: Wanted, data: Data = None) -> None:
        super().__init__(data, initial={"members": stated.members, "rules": stated.rules})

    def clean_members(self) -> list[MemberText]:
        return [member_text(line) for line in self.cleaned_data["members"]]

    def clean_rules(self) -> list[RuleText]:
        try:
            return [rule_text(line) for line in self.cleaned_data["rules"]]
        except HubError as error:
            raise forms.ValidationError(error.detail) from error

    def wanted(self) -> Wanted:
        return Wanted(**self.cleaned_data)


def member_text(line: str) -> MemberText:
    """Return the member of a line such as `acme` or `acme/label/dev`."""
    channel, _, label = line.partition("/label/")
    return MemberText(channel, label)


def rule_text(line: str) -> RuleText:
    """Return the rule of a line, as str() of a rule writes it. Raise HubError 422 for other lines."""
    match line.split():
        case [names, word] if word == RESERVED:
            return RuleText(names, NameAct.ONLY_FROM)
        case [names, *words, channel] if " ".join(words) in NameAct.labels:
            return RuleText(names, NameAct.values[NameAct.labels.index(" ".join(words))], channel)
    raise unprocessable(
        "bad_rule",
        f"{line[:QUOTE_MAX_CHARACTERS]!r} is no rule. Expected “NAMES only from CHANNEL”, “NAMES never from CHANNEL” "
        f"or “NAMES {RESERVED}”.",
    )
