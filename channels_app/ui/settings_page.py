"""What every page within a channel's settings has around it: templates/settings/frame.html."""

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render

from channels_app.access import permissions
from channels_app.authentication import actors
from channels_app.models import Channel


def frame_context(request: HttpRequest, channel: Channel, section: str) -> dict[str, Any]:
    """For a template that extends the frame; `section` is the sidebar's entry that stands for this page."""
    actor = actors.actor(request)
    return {
        "channel": channel,
        "section": section,
        "permissions": {str(permission) for permission in permissions.permissions(actor, channel)},
        "is_member": permissions.memberships(actor.user).filter(channel=channel).exists(),
    }


def sent(request: HttpRequest, action: str = "") -> QueryDict | None:
    """What a form is bound to, where it was sent; of several on a page, the one whose `action` it is."""
    is_sent = request.method == "POST" and (not action or request.POST.get("action") == action)
    return request.POST if is_sent else None


def page(request: HttpRequest, channel: Channel, section: str, **context: Any) -> HttpResponse:
    """templates/settings/<section>.html within the frame."""
    frame = frame_context(request, channel, section)
    return render(request, f"settings/{section}.html", frame | context)
