"""The form of a webhook."""

from typing import Any

from django import forms

from channels_app.models import Webhook
from channels_app.ui.form_fields import AS_TYPED, Data
from channels_app.webhooks import events
from channels_app.webhooks.webhooks import URL_MAX_CHARACTERS

FIELD_OF = {"bad_url": "url", "webhook_exists": "url", "bad_events": "events"}


class WebhookForm(forms.Form):
    """A form for a new webhook, or for a present one."""

    url = forms.CharField(
        label="URL",
        max_length=URL_MAX_CHARACTERS,
        widget=forms.TextInput(
            AS_TYPED | {"inputmode": "url", "placeholder": "https://ci.example.org/hooks/channelhub"}
        ),
        help_text="The hub sends each event as a POST to this URL. It must be https and public.",
    )
    events = forms.MultipleChoiceField(
        choices=[(name, kind.label) for name, kind in events.KINDS.items()],
        error_messages={"required": "Choose at least one kind of events."},
    )

    def __init__(self, webhook: Webhook | None = None, data: Data = None) -> None:
        initial: dict[str, Any] = (
            {"url": webhook.url, "events": webhook.events} if webhook else {"events": ["artifact.published"]}
        )
        super().__init__(data, initial=initial)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(name, kind.label) for name, kind in events.KINDS.items()]
