"""What tests of pages share: a signed-in browser, and what a page says."""

from typing import Any, TypeAlias

from django.contrib.messages import get_messages
from django.test import Client

from channels_app.models import AuditEvent, User

Response: TypeAlias = Any  # the test client's, which has no public name


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Response) -> str:
    """The page, every run of white space as one space."""
    return " ".join(response.content.decode().split())


def said(response: Response) -> list[str]:
    """The messages that the next page will show."""
    return [str(message) for message in get_messages(response.wsgi_request)]


def events() -> list[tuple[str, str, dict[str, Any]]]:
    """Every audit event's action, target and detail, the first first."""
    return list(AuditEvent.objects.order_by("pk").values_list("action", "target", "detail"))
