"""The form of a trusted publisher: the fields of its provider, and those that all providers share."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms import BoundField

from channels_app import identifiers
from channels_app.channels import channels
from channels_app.ui.form_errors import raised_as_validation_error
from channels_app.ui.form_fields import AS_TYPED, GlobsField
from publishing.id_tokens.claims import BadFields, Field
from publishing.id_tokens.provider import Provider
from publishing.models import Issuer

CHECK_BOX = ("true",)
# Optional fields that are recommended. The other optional fields are folded.
RECOMMENDED = ("environment",)
PIN_MAX_CHARACTERS = 100
ONE_LINE_MAX_CHARACTERS = 255
PIN = "pin-"
# Fields that show certain errors of publishers.add(). Other errors stand above the form.
# The field to which an error of publishers.add() belongs, by its code.
FIELD_OF = {"bad_globs": "package_globs", "channel_exists": "channel_name", "name_pending": "channel_name"}


class PublisherForm(forms.Form):
    """The form for publishers of one provider. It can't be submitted while the hub has no issuer of that provider."""

    package_globs = GlobsField()
    may_upload = forms.BooleanField(
        required=False, initial=True, label="Upload", help_text="New packages. Never overwrite, yank or delete."
    )
    may_read = forms.BooleanField(
        required=False, label="Read", help_text="Install from this channel while it is private."
    )

    def __init__(self, provider: Provider, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(data)
        self.provider = provider
        self.issuers = Issuer.objects.filter(provider=provider.name, is_enabled=True)
        if len(self.issuers) > 1:
            self.fields["issuer"] = forms.ModelChoiceField(
                self.issuers,
                empty_label=None,
                initial=self.issuers[0],
                help_text="The issuer of the job's identity tokens.",
            )
        self.fields |= {field.name: _form_field(field) for field in provider.fields}
        self.fields |= {f"{PIN}{name}": _pin_field(name) for name in provider.pins}

    def clean(self) -> None:
        if not self.issuers:
            raise ValidationError("No issuer of this type is registered. An administrator can add one.")
        try:
            self.values = self.provider.clean({field.name: self._typed(field) for field in self.provider.fields})
        except BadFields as error:
            for name, reason in error.reasons.items():
                if name not in self.errors:
                    self.add_error(name, reason)

    def _typed(self, field: Field) -> str:
        value = self.cleaned_data.get(field.name) or ""
        return CHECK_BOX[0] if value is True else value

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of publishers.add()."""
        rights = {name: self.cleaned_data[name] for name in ("may_upload", "may_read") if name in self.fields}
        return rights | {
            "issuer": self.cleaned_data.get("issuer") or self.issuers[0],
            "fields": self.values,
            "package_globs": self.cleaned_data["package_globs"],
            "pins": {name: self.cleaned_data[f"{PIN}{name}"] for name in self.provider.pins},
        }

    def main_fields(self) -> list[BoundField]:
        """Return the fields that are always visible."""
        wanted = [field.name for field in self.provider.fields if field.is_required or field.name in RECOMMENDED]
        return [self[name] for name in ("issuer", *wanted) if name in self.fields]

    def folded_fields(self) -> list[BoundField]:
        """Return the folded fields: the other conditions, then the stable ids."""
        shown = {field.name for field in self.main_fields()}
        names_ = [field.name for field in self.provider.fields if field.name not in shown]
        return [self[name] for name in (*names_, *(f"{PIN}{name}" for name in self.provider.pins))]

    def is_unfolded(self) -> bool:
        return any(field.errors or field.data for field in self.folded_fields())


class PendingForm(PublisherForm):
    """The form for a channel that the first exchange will create: it has a name for it, and no choice of rights."""

    channel_name = forms.CharField(
        label="Channel",
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Lower-case letters, digits, '_', '.' and '-'; private at first.",
    )
    may_upload = None  # type: ignore[assignment]
    may_read = None  # type: ignore[assignment]

    def clean_channel_name(self) -> str:
        name: str = self.cleaned_data["channel_name"]
        corrected = channels.corrected_name(name)
        self.corrected_name = corrected if corrected != name else ""
        with raised_as_validation_error():
            channels.check_name(name)
        return name


def _form_field(field: Field) -> forms.Field:
    options: dict[str, Any] = {"label": field.title, "help_text": field.help, "required": field.is_required}
    if field.choices == CHECK_BOX:
        return forms.BooleanField(**options)
    if field.choices:
        return forms.ChoiceField(choices=[("", "Any"), *((choice, choice) for choice in field.choices)], **options)
    attributes = AS_TYPED | {"placeholder": field.example}
    is_long = field.max_characters > ONE_LINE_MAX_CHARACTERS
    return forms.CharField(
        widget=forms.Textarea(attributes | {"rows": 3}) if is_long else forms.TextInput(attributes),
        error_messages={"required": f"{field.title} is missing; expected {field.form}, such as {field.example}."},
        **options,
    )


def _pin_field(name: str) -> forms.Field:
    return forms.CharField(
        required=False,
        label=name,
        max_length=PIN_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="The provider's stable id, which is never reused. "
        "If empty, the hub asks the provider, or takes the id of the first use.",
    )
