"""The form of a new channel, and the field of a logo. The functions that they call check the values again."""

from typing import Any

from django import forms

from channels_app import identifiers
from channels_app.channels import channels, logos
from channels_app.models import ChannelKind
from channels_app.ui.form_errors import raised_as_validation_error
from channels_app.ui.form_fields import AS_TYPED
from hub.sizes import human_size


class LogoField(forms.FileField):
    """An image. Its clean value is the hub's PNG of it, or None if no file was chosen."""

    def __init__(self, label: str = "Logo") -> None:
        super().__init__(
            label=label,
            required=False,
            widget=forms.FileInput({"accept": "image/png,image/jpeg,image/webp,image/gif"}),
            help_text=f"PNG, JPEG, WebP or GIF, up to {human_size(logos.UPLOAD_MAX_BYTES)}; shown as a square.",
        )

    def clean(self, data: Any, initial: Any = None) -> bytes | None:
        file = super().clean(data, initial)
        with raised_as_validation_error():
            return logos.encode(file) if file else None


class ChannelForm(forms.Form):
    """A new channel: the arguments of channels.create."""

    name = forms.CharField(
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        help_text="Its address for pixi, conda and mamba. Lower-case letters, digits, '_', '.' and '-'; "
        "it can't be changed later.",
        widget=forms.TextInput(AS_TYPED | {"autofocus": True}),
    )
    description = forms.CharField(
        max_length=500,
        required=False,
        widget=forms.Textarea({"rows": 3}),
        help_text="What the channel contains, and who it is for.",
    )
    logo = LogoField()
    kind = forms.ChoiceField(
        label="Packages",
        choices=[(ChannelKind.PACKAGES, "Its own packages"), (ChannelKind.VIRTUAL, "Packages of other channels")],
        required=False,
    )
    is_private = forms.TypedChoiceField(
        label="Visibility",
        choices=[("private", "Private"), ("public", "Public")],
        coerce=lambda choice: choice == "private",
        initial="private",
    )

    def clean_kind(self) -> str:
        return self.cleaned_data["kind"] or ChannelKind.PACKAGES

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        corrected = channels.corrected_name(name)
        self.corrected_name = corrected if corrected != name else ""
        with raised_as_validation_error():
            channels.check_name(name)
        return name
