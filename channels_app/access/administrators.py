"""Acts and reads that concern the whole hub, which only administrators may do."""

from channels_app.access.permissions import ANONYMOUS, Actor, Permission
from hub.errors import forbidden, unauthenticated


def check(actor: Actor, act: str) -> None:
    """Raise HubError for users without administrator rights, applications, and keys with narrower limits.

    `act` completes "Only administrators can …".
    """
    if actor == ANONYMOUS:
        raise unauthenticated("credential_needed", f"Only administrators can {act}. Sign in.")
    key = actor.key
    is_narrow = actor.token or (key and not (key.all_channels and Permission.MANAGE in key.scopes))
    if is_narrow or actor.user is None or not actor.user.is_superuser:
        raise forbidden(
            "administrators_only",
            f"Only administrators can {act}, and their API keys with the scope 'manage' for all channels.",
        )
