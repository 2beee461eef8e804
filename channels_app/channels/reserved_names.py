"""Names of purged channels, reserved for their last owners until an administrator frees them.

Clients keep requesting the old address, so a new owner of the name would inherit their trust.
"""

from typing import Any

from django.db import transaction

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Channel, Member, ReservedName, Role, User
from hub.errors import conflict, forbidden, not_found


def reserve(channel: Channel) -> None:
    """Reserve the name for the owners. Call it in the transaction that removes the channel."""
    owners = Member.objects.filter(channel=channel, role=Role.OWNER).values_list("user", flat=True)
    reserved, _ = ReservedName.objects.get_or_create(name=channel.name)
    reserved.owners.set(owners)


def check(name: str, user: User) -> None:
    """Raise HubError 409 if the name is reserved for others. Check first whether the channel exists.

    In the other order, a purge between the two checks would go unnoticed.
    """
    if ReservedName.objects.filter(name=name).exclude(owners=user).exists():
        raise conflict(
            "name_reserved",
            f"The channel '{name}' was deleted; its name is reserved for its last owners. "
            "Choose another name, or ask an administrator to free it.",
        )


def end_reservation(name: str) -> None:
    """Delete the reservation. Call it in the transaction that creates the channel again."""
    ReservedName.objects.filter(name=name).delete()


@transaction.atomic
def free(*, name: str, actor: Actor) -> None:
    """Free the name for every user. Only administrators and commands (an anonymous actor) may do so."""
    if actor.key or actor.token or (actor.user and not actor.user.is_superuser):
        raise forbidden("administrators_only", "Only administrators can free a reserved name; sign in as one.")
    reserved = ReservedName.objects.select_for_update().filter(name=name).first()
    if reserved is None:
        raise not_found("not_reserved", f"The name '{name[:128]}' is not reserved.")
    detail: dict[str, Any] = {"owners": list(reserved.owners.values_list("username", flat=True))}
    if actor.user is None:
        detail["by"] = "An administrator"
    log.record(Action.CHANNEL_FREE_NAME, by=actor, target=name, detail=detail)
    reserved.delete()
