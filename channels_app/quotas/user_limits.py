"""How much each user may have: one table, of settings. Administrators may have any amount.

A channel counts for the first of its owners alone, so that nobody uses up what another one may have.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, QuerySet

from channels_app.models import Channel, Member, Role, User
from hub.errors import HubError, forbidden

# name: the setting, in which 0 is no limit. The names are also those of User.limits.
SETTINGS = {
    "channels": "HUB_USER_CHANNELS",
    "pending_publishers": "HUB_USER_PENDING_PUBLISHERS",
    "teams": "HUB_USER_TEAMS",
    "keys": "HUB_USER_KEYS",
    "bytes": "HUB_USER_BYTES",
    "packages_a_day": "HUB_USER_PACKAGES_A_DAY",
}


def limit(name: str, user: User) -> int | None:
    """How much `user` may have; None for any amount."""
    return None if user.is_superuser else limit_by(name, user.limits or {})


def limit_by(name: str, own: dict[str, int]) -> int | None:
    """The same by the user's own limits."""
    return own.get(name, getattr(settings, SETTINGS[name])) or None


def lock_users(*users: User | int) -> None:
    """Lock users, or those of these ids, until the transaction ends, so that requests at once count one after another.

    Always in the same order, so that no two of them wait for each other.
    """
    ids = [user if isinstance(user, int) else user.pk for user in users]
    list(User.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))


def check(user: User, name: str, have: int, what: str, remedy: str) -> None:
    """403 where `user` has as many as one may have already: `what` they are, and the `remedy`, for the message."""
    most = limit(name, user)
    if most is not None and have >= most:
        raise forbidden(
            f"{name}_limit",
            f"{user} has {have:,} {what}; a user may have {most:,}. {remedy}, or ask an administrator for more.",
        )


def channels_of(user: User | int) -> QuerySet[Channel]:
    """The channels that count for `user`, or the one of that id; deleted ones until they go."""
    earlier = Member.objects.filter(channel=OuterRef("channel"), role=Role.OWNER, pk__lt=OuterRef("pk"))
    first = Member.objects.filter(~Exists(earlier), user=user, role=Role.OWNER)
    return Channel.objects.filter(pk__in=first.values("channel"))


def check_channels(user: User, *, name: str = "") -> None:
    """403 where `user` may have no further channel, neither now nor by CI; `name` is none of those that are kept.

    Call it within the transaction that makes the channel or keeps its name.
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


def check_heir(user: User) -> None:
    """403 where a channel that others hand to `user` would be one too many; nothing else of theirs is told."""
    try:
        check_channels(user)
    except HubError as error:
        raise forbidden(
            error.code, f"{user} may have no further channel. They can delete one of theirs first."
        ) from None


def validate(value: Any) -> None:
    """Refuse what is no object of known names and whole numbers."""
    expected = (
        f'Expected an object of whole numbers, such as {{"channels": 50}}; 0 is no limit. Names: {", ".join(SETTINGS)}.'
    )
    if not isinstance(value, dict) or not value.keys() <= SETTINGS.keys():
        raise ValidationError(expected)
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in value.values()):
        raise ValidationError(expected)
