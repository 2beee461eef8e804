"""Forms of a channel's settings, each bound to its channel."""

from typing import Any

from django import forms
from django.conf import settings

from channels_app.channels.forms import LogoField
from channels_app.models import Channel
from channels_app.ui.form_fields import AS_TYPED, ConfirmForm, Data, Files
from hub.sizes import MIB, human_size

PRIVATE, PUBLIC = "private", "public"


class GeneralForm(forms.Form):
    description = forms.CharField(
        required=False,
        max_length=500,
        widget=forms.Textarea({"rows": 3}),
        help_text="What the channel contains and whom to ask, in up to 500 characters.",
    )
    logo = LogoField("New logo")
    remove_logo = forms.BooleanField(required=False, label="Remove the logo")
    visibility = forms.ChoiceField(choices=[(PRIVATE, "Private"), (PUBLIC, "Public")])
    confirm_visibility = forms.BooleanField(required=False, label="Yes, change who can read this channel")

    def __init__(self, channel: Channel, data: Data = None, files: Files = None) -> None:
        visibility = PRIVATE if channel.is_private else PUBLIC
        super().__init__(data, files, initial={"description": channel.description, "visibility": visibility})
        self.channel = channel

    def clean_description(self) -> str:
        return " ".join(self.cleaned_data["description"].split())

    def clean(self) -> None:
        is_private = self.cleaned_data.get("visibility") == PRIVATE
        if is_private != self.channel.is_private and not self.cleaned_data.get("confirm_visibility"):
            self.add_error(
                "confirm_visibility",
                f"This makes the channel {'private' if is_private else 'public'}. Tick this box to confirm.",
            )

    def values(self) -> dict[str, Any]:
        """Return the arguments of channels.update()."""
        values: dict[str, Any] = {
            "description": self.cleaned_data["description"],
            "is_private": self.cleaned_data["visibility"] == PRIVATE,
        }
        if self.cleaned_data["logo"] or self.cleaned_data["remove_logo"]:
            values["logo"] = self.cleaned_data["logo"]
        return values


class PoliciesForm(forms.Form):
    allow_overwrite = forms.BooleanField(required=False, label="Allow overwriting")
    allow_revision_3 = forms.BooleanField(required=False, label="Allow packages of repodata revision 3")
    only_trusted_publishers = forms.BooleanField(required=False, label="Only trusted publishers may upload")
    require_attestation = forms.BooleanField(required=False, label="Require an attestation")
    max_upload_mib = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**40,
        label="Largest package, in MiB",
    )

    def __init__(self, channel: Channel, data: Data = None) -> None:
        names = ("allow_overwrite", "allow_revision_3", "only_trusted_publishers", "require_attestation")
        initial = {name: getattr(channel, name) for name in names}
        limit = channel.max_upload_bytes
        super().__init__(data, initial=initial | {"max_upload_mib": limit and -(-limit // MIB)})
        self.channel = channel
        self.fields["max_upload_mib"].help_text = (
            f"Larger files are refused with 413. Empty: the hub's own limit, "
            f"{human_size(settings.HUB_MAX_UPLOAD_BYTES)}."
        )

    def values(self) -> dict[str, Any]:
        """Return the arguments of channels.change_policies()."""
        values = dict(self.cleaned_data)
        limit = values.pop("max_upload_mib")
        # An unchanged limit that is not a whole number of MiB stays as it is.
        if "max_upload_mib" in self.changed_data:
            values["max_upload_bytes"] = limit and limit * MIB
        return values


class TransferForm(ConfirmForm):
    username = forms.CharField(
        label="User name of the new owner",
        max_length=150,
        help_text="The exact user name with which they sign in.",
        widget=forms.TextInput(AS_TYPED),
    )
    field_order = ["username", "confirm"]
