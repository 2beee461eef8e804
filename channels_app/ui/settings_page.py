"""What every page within a channel's settings has around it: templates/settings/frame.html."""

from typing import Any

from django.http import HttpRequest

from channels_app.access import permissions
from channels_app.authentication import actors
from channels_app.models import Channel


def context(request: HttpRequest, channel: Channel, section: str) -> dict[str, Any]:
    """For a template that extends the frame; `section` is the sidebar's entry that stands for this page."""
    actor = actors.actor(request)
    return {
        "channel": channel,
        "section": section,
        "permissions": {str(permission) for permission in permissions.permissions(actor, channel)},
        "is_member": permissions.memberships(actor.user).filter(channel=channel).exists(),
    }
