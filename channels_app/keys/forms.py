"""Forms for API keys: a user's keys, and channel keys."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access.permissions import Permission
from channels_app.models import ApiKey, Channel
from channels_app.ui.form_fields import AS_TYPED, Data, GlobsField

NAME_MAX_CHARACTERS = 100
ON_A_DATE, NEVER = "date", "never"
LIFETIMES = [
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
    (ON_A_DATE, "On a date"),
    (NEVER, "Never"),
]
ALL, SOME = "all", "some"
SCOPES = {
    Permission.READ: ("Read", "Install from private channels."),
    Permission.UPLOAD: ("Upload", "Publish packages."),
    Permission.DELETE: ("Delete", "Yank, delete and restore files."),
    Permission.MANAGE: ("Manage", "Members, settings and trusted publishers."),
}
# The fields for the errors of api_keys.mint(); other errors are shown above the form.
# The field to which an error of api_keys.mint() belongs, by its code.
FIELD_OF = {"bad_globs": "package_globs", "bad_expiry": "expires_on", "bad_scope": "scopes"}


class KeyForm(forms.Form):
    """A form for a new key. `present` are the existing keys, `scopes` the choices."""

    name = forms.CharField(
        max_length=NAME_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Where you will use it, so that you recognize it.",
    )
    scopes = forms.MultipleChoiceField(error_messages={"required": "Choose at least one permission."})
    package_globs = GlobsField(action="upload or delete")
    lifetime = forms.ChoiceField(label="Expires", choices=LIFETIMES, initial="365")
    expires_on = forms.DateField(required=False, label="Last day (UTC)", widget=forms.DateInput({"type": "date"}))

    def __init__(self, present: QuerySet[ApiKey], scopes: Sequence[Permission], data: Data = None) -> None:
        super().__init__(data, initial={"scopes": [Permission.READ]})
        self.present = present
        self.scope_choices = [(scope.value, *SCOPES[scope]) for scope in scopes]
        self.may_upload = Permission.UPLOAD in scopes
        self.fields["scopes"].choices = [choice[:2] for choice in self.scope_choices]  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        # Reloading the page sends the form again and would create a second key unnoticed.
        if self.present.filter(name=name).exists():
            raise ValidationError(f"There is a key called '{name}' already; revoke it first, or choose another name.")
        return name

    def clean(self) -> None:
        if self.cleaned_data.get("lifetime") == ON_A_DATE and not self.cleaned_data.get("expires_on"):
            self.add_error("expires_on", "Choose the last day on which the key works.")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that api_keys.mint() and api_keys.mint_robot() share."""
        return {
            "name": self.cleaned_data["name"],
            "scopes": self.cleaned_data["scopes"],
            "package_globs": self.cleaned_data["package_globs"],
            "expires_at": self._expires_at(),
        }

    def _expires_at(self) -> datetime | None:
        lifetime = self.cleaned_data["lifetime"]
        if lifetime == NEVER:
            return None
        if lifetime == ON_A_DATE:
            return datetime.combine(self.cleaned_data["expires_on"], time(23, 59, 59), UTC)
        return timezone.now() + timedelta(days=int(lifetime))


class PersonalKeyForm(KeyForm):
    """A form for a new key of a user, with a choice of channels."""

    which = forms.ChoiceField(label="Channels", choices=[(ALL, "All"), (SOME, "Some")], initial=ALL)
    channels = forms.MultipleChoiceField(required=False)

    def __init__(
        self,
        present: QuerySet[ApiKey],
        scopes: Sequence[Permission],
        channels: Iterable[Channel],
        data: Data = None,
    ) -> None:
        super().__init__(present, scopes, data)
        self.by_name = {channel.name: channel for channel in channels}
        self.fields["channels"].choices = [(name, name) for name in self.by_name]  # type: ignore[attr-defined]

    def clean(self) -> None:
        super().clean()
        if self.cleaned_data.get("which") == SOME and not self.cleaned_data.get("channels", True):
            self.add_error("channels", "Choose at least one channel.")

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of api_keys.mint(), without the owner."""
        chosen = [self.by_name[name] for name in self.cleaned_data["channels"]]
        return super().arguments() | {"channels": chosen if self.cleaned_data["which"] == SOME else None}
