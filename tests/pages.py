"""What tests of pages share: a signed-in browser, and what a page says."""

import time
from typing import Any, TypeAlias

from django.contrib.messages import get_messages
from django.test import Client

from channels_app.models import AuditEvent, User

Response: TypeAlias = Any  # the test client's, which has no public name


def signed_in(user: User, *, is_fresh: bool = True, **defaults: str) -> Client:
    """The user's browser; where `is_fresh`, they have just proved who they are. `defaults` are for every request."""
    client = Client()
    client.defaults.update(defaults)
    client.force_login(user)
    if is_fresh:
        confirm(client, user)
    return client


def confirm(client: Client, user: User, *, at: float | None = None) -> None:
    """What allauth remembers in the session of a user who proved who they are, now or at another time."""
    session = client.session
    session["account_authentication_methods"] = [{"method": "password", "at": at or time.time()}]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def text(response: Response) -> str:
    """The page, every run of white space as one space."""
    return " ".join(response.content.decode().split())


def said(response: Response) -> list[str]:
    """The messages that the next page will show."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def events() -> list[tuple[str, str, dict[str, Any]]]:
    """Every audit event's action, target and detail, the first first."""
    return list(AuditEvent.objects.order_by("pk").values_list("action", "target", "detail"))
