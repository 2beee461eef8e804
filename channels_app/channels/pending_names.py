"""Names of channels that CI may create: reserved for one user until the channel exists or the reservation expires.

Creating a channel or reserving a name first writes the name's row, which is unique. A concurrent transaction waits for
the first to commit, and then sees the result.
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.channels import reserved_names
from channels_app.models import Channel, PendingName, User
from hub.errors import conflict

# For creating the channel itself: the row is deleted in the same transaction.
CREATION_TIME = timedelta(hours=1)


def reserve(*, name: str, user: User, expires_at: datetime | None = None) -> None:
    """Reserve a free name for `user`, within a transaction.

    Raise HubError 409 if a channel or another user has the name.
    """
    expires_at = expires_at or timezone.now() + CREATION_TIME
    locked = _lock_for(name, user, expires_at)
    if Channel.objects.filter(name=name).exists():
        raise conflict("channel_exists", f"There is a channel '{name}' already; choose another name.")
    reserved_names.check(name, user)
    if locked.expires_at < expires_at:
        locked.expires_at = expires_at
        locked.save(update_fields=["expires_at"])


def lock(*names: str) -> None:
    """Lock the rows of these names, always in the same order, until the transaction ends."""
    list(PendingName.objects.select_for_update().filter(name__in=names).order_by("name"))


def move_to_channel(channel: Channel, owner: User) -> None:
    """Move the owner's pending trusted publishers of the name to the channel, and delete the name's row.

    Expired publishers stay expired.
    """
    pending = owner.trusted_publishers.filter(channel=None, channel_name=channel.name)
    pending = pending.exclude(expires_at__lte=timezone.now())
    for publisher in pending.select_related("issuer"):
        target = publisher.subject or publisher.issuer.url
        log.record(Action.PUBLISHER_BIND, by=Actor(user=owner), channel=channel, target=target)
    pending.update(channel=channel, channel_name="", expires_at=None)
    PendingName.objects.filter(name=channel.name).delete()


def end_others(name: str, user: User) -> None:
    """End other users' pending publishers of the name: an operator creates the channel for `user`."""
    lock(name)
    other = of_another(name, user)
    if other is None:
        return
    pending = other.user.trusted_publishers.filter(channel=None, channel_name=name)
    for publisher in pending.select_related("issuer"):
        detail = {"channel": name, "fields": publisher.fields, "user": other.user.pk}
        log.record(Action.PUBLISHER_END, target=publisher.subject or publisher.issuer.url, detail=detail)
    pending.delete()
    other.delete()


def of_another(name: str, user: User) -> PendingName | None:
    """Return the name's row if it is unexpired and of another user than `user`."""
    others = PendingName.objects.filter(name=name, expires_at__gt=timezone.now()).exclude(user=user)
    return others.select_related("user").first()


def release(name: str, user: User) -> None:
    """Delete the reservation if the user has no pending publisher of the name."""
    if not user.trusted_publishers.filter(channel=None, channel_name=name).exists():
        PendingName.objects.filter(name=name, user=user).delete()


def delete_expired() -> None:
    PendingName.objects.filter(expires_at__lte=timezone.now()).delete()


def _lock_for(name: str, user: User, until: datetime) -> PendingName:
    """Return the name's row, created for `user` or locked until the transaction ends."""
    PendingName.objects.filter(name=name, expires_at__lte=timezone.now()).delete()
    try:
        with transaction.atomic():
            return PendingName.objects.create(name=name, user=user, expires_at=until)
    except IntegrityError:
        locked = PendingName.objects.select_for_update().filter(name=name, user=user).first()
    if locked is None:
        raise conflict(
            "name_pending",
            f"The name '{name}' is reserved for a channel that another user's CI may create; choose another name.",
        )
    return locked
