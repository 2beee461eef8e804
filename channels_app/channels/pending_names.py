"""Names of channels that CI may make: each is one user's alone, until the channel is there or its time is over.

Whoever makes a channel or keeps its name for CI writes the name's row first. The row is unique: of two who do so at
once, the second waits until the first has committed, and sees what became of the name.
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

# Of whoever makes the channel: the row goes in the same transaction.
WHILE_MADE = timedelta(hours=1)


def claim(*, name: str, user: User, until: datetime | None = None) -> None:
    """Keep a free name for `user`, within a transaction; 409 where it is a channel's or another user's."""
    until = until or timezone.now() + WHILE_MADE
    held = _hold(name, user, until)
    if Channel.objects.filter(name=name).exists():
        raise conflict("channel_exists", f"There is a channel '{name}' already; choose another name.")
    reserved_names.check(name, user)
    if held.expires_at < until:
        held.expires_at = until
        held.save(update_fields=["expires_at"])


def lock(*names: str) -> None:
    """Lock the rows of these names, always in the same order, until the transaction ends."""
    list(PendingName.objects.select_for_update().filter(name__in=names).order_by("name"))


def bind(channel: Channel, owner: User) -> None:
    """Move what its owner has pending by the channel's name to the channel, and end the name's row.

    What is over stays over.
    """
    waiting = owner.trusted_publishers.filter(channel=None, channel_name=channel.name)
    waiting = waiting.exclude(expires_at__lte=timezone.now())
    for publisher in waiting.select_related("issuer"):
        target = publisher.subject or publisher.issuer.url
        log.record(Action.PUBLISHER_BIND, by=Actor(user=owner), channel=channel, target=target)
    waiting.update(channel=channel, channel_name="", expires_at=None)
    PendingName.objects.filter(name=channel.name).delete()


def end_of_others(name: str, user: User) -> None:
    """End what others than `user` have pending by the name: the hub's operator makes the channel for this one."""
    lock(name)
    held = of_another(name, user)
    if held is None:
        return
    waiting = held.user.trusted_publishers.filter(channel=None, channel_name=name)
    for publisher in waiting.select_related("issuer"):
        detail = {"channel": name, "fields": publisher.fields, "user": held.user.pk}
        log.record(Action.PUBLISHER_END, target=publisher.subject or publisher.issuer.url, detail=detail)
    waiting.delete()
    held.delete()


def of_another(name: str, user: User) -> PendingName | None:
    """The row of the name, where it is another's than `user` and not over."""
    others = PendingName.objects.filter(name=name, expires_at__gt=timezone.now()).exclude(user=user)
    return others.select_related("user").first()


def release(name: str, user: User) -> None:
    """Give the name free once nothing of the user's is pending by it."""
    if not user.trusted_publishers.filter(channel=None, channel_name=name).exists():
        PendingName.objects.filter(name=name, user=user).delete()


def forget_expired() -> None:
    PendingName.objects.filter(expires_at__lte=timezone.now()).delete()


def _hold(name: str, user: User, until: datetime) -> PendingName:
    """The row of the name, locked until the transaction ends."""
    PendingName.objects.filter(name=name, expires_at__lte=timezone.now()).delete()
    try:
        with transaction.atomic():
            return PendingName.objects.create(name=name, user=user, expires_at=until)
    except IntegrityError:
        held = PendingName.objects.select_for_update().filter(name=name, user=user).first()
    if held is None:
        raise conflict(
            "name_pending",
            f"The name '{name}' is kept for a channel that another user's CI is about to make; choose another name.",
        )
    return held
