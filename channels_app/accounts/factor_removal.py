"""Removal of a user's second factors by an administrator, for example lost ones."""

from allauth.mfa.models import Authenticator
from django.db import transaction

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.accounts.events import FACTORS
from channels_app.audit import log
from channels_app.models import User


@transaction.atomic
def remove_all(*, user: User, by: User | None = None) -> list[str]:
    """Remove every second factor of `user`. Return the names of the removed kinds.

    `by` is None for a command. The user is notified by mail.
    """
    factors = Authenticator.objects.filter(user=user).order_by("pk")
    removed = list(dict.fromkeys(FACTORS[factor.type] for factor in factors))
    if removed:
        factors.delete()
        detail = {"fields": {"factors": ", ".join(removed)}}
        log.record(Action.USER_FACTORS_REMOVE, by=Actor(user=by), target=user.username, detail=detail)
    return removed


def in_words(user: User, removed: list[str]) -> str:
    """Return the message for the administrator."""
    if removed:
        return f"Removed the second factors of {user}: {', '.join(removed)}."
    return f"{user} has no second factors."
