"""The frame of a channel's settings pages: templates/settings/frame.html."""

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from channels_app.access import permissions
from channels_app.authentication import actors
from channels_app.models import Channel


def frame_context(request: HttpRequest, channel: Channel, section: str) -> dict[str, Any]:
    """Return the context of a template that extends the frame. `section` is the current entry of the sidebar."""
    actor = actors.actor(request)
    return {
        "channel": channel,
        "section": section,
        "permissions": {str(permission) for permission in permissions.permissions(actor, channel)},
        "is_member": permissions.memberships(actor.user).filter(channel=channel).exists(),
    }


def sent(request: HttpRequest, action: str = "") -> QueryDict | None:
    """Return the data for a form if it was posted.

    If the page has several forms, `action` selects the posted one.
    """
    is_sent = request.method == "POST" and (not action or request.POST.get("action") == action)
    return request.POST if is_sent else None


def page(request: HttpRequest, channel: Channel, section: str, **context: Any) -> HttpResponse:
    """Render templates/settings/<section>.html within the frame."""
    frame = frame_context(request, channel, section)
    return render(request, f"settings/{section}.html", frame | context)
