"""What every page within a channel's settings has around it: templates/settings/frame.html."""

from typing import Any

from django.http import HttpRequest

from channels_app import access, authentication
from channels_app.models import Channel


def context(request: HttpRequest, channel: Channel, section: str) -> dict[str, Any]:
    """For a template that extends the frame; `section` is the sidebar's entry that stands for this page."""
    actor = authentication.actor(request)
    return {
        "channel": channel,
        "section": section,
        "permissions": {str(permission) for permission in access.permissions(actor, channel)},
        "is_member": access.memberships(actor.user).filter(channel=channel).exists(),
    }
