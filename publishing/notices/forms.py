"""The form of a notice."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from channels_app.ui.form_fields import Data
from publishing.models import ChannelNotice, NoticeLevel
from publishing.notices.notices import MESSAGE_MAX_CHARACTERS

LASTS = timedelta(days=30)


class NoticeForm(forms.Form):
    """A form for a new notice, or for a present one."""

    level = forms.ChoiceField(choices=[(level.value, level.label) for level in NoticeLevel], initial=NoticeLevel.INFO)
    message = forms.CharField(
        max_length=MESSAGE_MAX_CHARACTERS,
        widget=forms.Textarea({"rows": 4}),
        help_text="Plain text of a few sentences. Terminals show it as it is; a link is a whole URL.",
    )
    last_day = forms.DateField(
        label="Last day (UTC)",
        widget=forms.DateInput({"type": "date"}),
        help_text="Clients that have a notice look for newer ones when it expires. Choose a day that is near.",
    )

    def __init__(self, notice: ChannelNotice | None = None, data: Data = None) -> None:
        expires_at = notice.expires_at if notice else timezone.now() + LASTS
        initial: dict[str, Any] = {"last_day": expires_at.date()}
        if notice:
            initial |= {"level": notice.level, "message": notice.message}
        super().__init__(data, initial=initial)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that notices.add() and notices.change() share."""
        return {
            "level": self.cleaned_data["level"],
            "message": self.cleaned_data["message"],
            "expires_at": datetime.combine(self.cleaned_data["last_day"], time(23, 59, 59), UTC),
        }


class HubNoticeForm(NoticeForm):
    """A form for a notice of the hub, which every page shows."""

    for_clients = forms.BooleanField(
        required=False,
        label="Show it in pixi and conda, too",
        help_text="The notices of every channel have it then. Clients show it once for each channel that they use.",
    )

    def __init__(self, notice: ChannelNotice | None = None, data: Data = None) -> None:
        super().__init__(notice, data)
        self.initial["for_clients"] = bool(notice and notice.for_clients)

    def arguments(self) -> dict[str, Any]:
        return super().arguments() | {"for_clients": self.cleaned_data["for_clients"]}
