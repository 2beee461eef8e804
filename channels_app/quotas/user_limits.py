"""Limits per user, in one table of settings. Administrators have no limits.

A channel counts only for its first owner, so that a user can't use up the limits of another one.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet

from channels_app.models import Channel, Member, Role, User
from hub.errors import HubError, forbidden

# name: the setting; 0 means no limit. User.limits has the same names.
SETTINGS = {
    "channels": "HUB_USER_CHANNELS",
    "pending_publishers": "HUB_USER_PENDING_PUBLISHERS",
    "teams": "HUB_USER_TEAMS",
    "keys": "HUB_USER_KEYS",
    "bytes": "HUB_USER_BYTES",
    "packages_a_day": "HUB_USER_PACKAGES_A_DAY",
}


def limit(name: str, user: User) -> int | None:
    """Return the limit of `user`; None for any amount."""
    return None if user.is_superuser else limit_by(name, user.limits or {})


def limit_by(name: str, own: dict[str, int]) -> int | None:
    """Return the same limit, given the user's own limits."""
    return own.get(name, getattr(settings, SETTINGS[name])) or None


def lock_users(*users: User | int) -> None:
    """Lock users, given as objects or ids, until the transaction ends.

    Concurrent requests then count one after the other. The order of the locks is fixed, to avoid deadlocks.
    """
    ids = [user if isinstance(user, int) else user.pk for user in users]
    list(User.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))


def check(user: User, name: str, have: int, what: str, remedy: str) -> None:
    """Raise 403 if `user` has reached the limit `name`.

    `have` is the present number, `what` the plural and `remedy` the advice in the message.
    """
    most = limit(name, user)
    if most is not None and have >= most:
        raise forbidden(
            f"{name}_limit",
            f"{user} has {have:,} {what}; a user may have {most:,}. {remedy}, or ask an administrator for more.",
        )


def channels_of(user: User | int) -> QuerySet[Channel]:
    """Select the channels that count for `user`, an object or an id. Deleted ones count until they are purged."""
    earlier = Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER, pk__lt=OuterRef("pk"))
    first = Member.objects.filter(~Exists(earlier), user=user, role=Role.OWNER)
    return Channel.objects.filter(pk__in=first.values("channel"))


def check_channels(user: User, *, name: str = "") -> None:
    """Raise 403 if `user` has reached the limit of channels, including pending names of CI.

    `name` is not counted as a pending name. Call it in the transaction that creates the channel or reserves the name.
    """
    lock_users(user)
    have = channels_of(user).count() + user.pending_names.exclude(name=name).count()
    check(
        user,
        "channels",
        have,
        "channels, with those that CI may make and deleted ones that can be restored",
        "Delete one",
    )


def check_successor(user: User) -> None:
    """Raise 403 if `user` has no room for a channel that another user hands over.

    The message does not reveal the numbers of `user`.
    """
    try:
        check_channels(user)
    except HubError as error:
        raise forbidden(
            error.code, f"{user} may have no further channel. They can delete one of theirs first."
        ) from None


def validate(value: Any) -> None:
    """Raise ValidationError unless `value` is an object of known names and whole numbers."""
    expected = (
        f'Expected an object of whole numbers, such as {{"channels": 50}}; 0 is no limit. Names: {", ".join(SETTINGS)}.'
    )
    if not isinstance(value, dict) or not value.keys() <= SETTINGS.keys():
        raise ValidationError(expected)
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in value.values()):
        raise ValidationError(expected)
