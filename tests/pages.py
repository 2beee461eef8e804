"""Helpers of page tests: a signed-in browser, and the contents of a page."""

import time
from typing import Any, TypeAlias

from django.contrib.messages import get_messages
from django.test import Client

from channels_app.models import AuditEvent, User

Response: TypeAlias = Any  # the test client's response, which has no public type


def signed_in(user: User, *, is_fresh: bool = True, **defaults: str) -> Client:
    """Return the user's browser. If `is_fresh`, they have just confirmed their identity.

    `defaults` apply to all requests.
    """
    client = Client()
    client.defaults.update(defaults)
    client.force_login(user)
    if is_fresh:
        confirm(client, user)
    return client


def confirm(client: Client, user: User, *, at: float | None = None) -> None:
    """Mark in the session that the user confirmed their identity, now or at another time, as allauth does."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": at or time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def text(response: Response) -> str:
    """Return the page with every run of white space as one space."""
    return " ".join(response.content.decode().split())


def messages(response: Response) -> list[str]:
    """Return the messages that the next page will show."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def events() -> list[tuple[str, str, dict[str, Any]]]:
    """Return action, target and detail of all audit events, the oldest first."""
    return list(AuditEvent.objects.order_by("pk").values_list("action", "target", "detail"))
