"""Error reports to Sentry if SENTRY_DSN is set: with traceback and log, without secrets and personal data."""

from typing import TYPE_CHECKING, Any

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration

from hub import VERSION
from hub.observability import request_ids
from hub.observability.redaction import redacted

if TYPE_CHECKING:
    from sentry_sdk.types import Event, Hint


def start(dsn: str) -> None:
    sentry_sdk.init(
        dsn,
        release=VERSION,
        integrations=[DjangoIntegration(), CeleryIntegration()],
        send_default_pii=False,
        max_request_body_size="never",
        # Local variables can hold keys, bodies and mails.
        include_local_variables=False,
        before_send=_without_personal_data,
    )


def _without_personal_data(event: "Event", hint: "Hint") -> "Event":
    request: Any = event.get("request", {})
    for name in ("cookies", "headers", "env", "data"):
        request.pop(name, None)
    cleaned: Event = _redacted(event)
    cleaned.setdefault("tags", {})["request_id"] = request_ids.current.get()
    return cleaned


def _redacted(value: Any) -> Any:
    """Return `value` with all its texts redacted."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {name: _redacted(each) for name, each in value.items()}
    return [_redacted(each) for each in value] if isinstance(value, list | tuple) else value
