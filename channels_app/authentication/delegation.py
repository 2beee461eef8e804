"""Delegation: the rights that a credential passes on.

They are at most its own rights and limits, and last no longer than the credential. They are checked twice. The check at
creation refuses excessive requests with an error. The check at each use accounts for rights that the creator has lost
since.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from django.db.models import Q
from django.utils import timezone

from channels_app.access import permissions
from channels_app.access.permissions import Actor, Permission
from channels_app.authentication import api_keys
from channels_app.models import Channel
from hub.errors import forbidden

SPECIAL = "*?["


def check(actor: Actor, channel: Channel, *, wanted: Iterable[Permission], globs: Iterable[str], what: str) -> None:
    """Raise 403 if the actor's key would pass on more rights than it has.

    `what` names the created object in the message. Signed-in users are limited by the act itself.
    """
    key = actor.key
    if key is None:
        return
    more = sorted(set(wanted) - permissions.own_permissions(actor, channel))
    if more:
        raise forbidden(
            "passes_on_more",
            f"The key '{key.name}' may not {' or '.join(more)} in '{channel}' itself, so {what} that it makes can't "
            "either. Ask for less, use a key that may, or sign in and use the page.",
        )
    if not is_within(globs, key.package_globs):
        raise forbidden(
            "passes_on_more",
            f"The key '{key.name}' is limited to {', '.join(key.package_globs)}, so {what} that it makes has to be "
            "limited to these names or some of them: send them as package_globs.",
        )


def is_within(globs: Iterable[str], limits: Iterable[str]) -> bool:
    """Tell whether every name that `globs` match is also matched by `limits`.

    The patterns are compared as text, so the answer may be a false negative. No patterns match all names.
    """
    globs, limits = list(globs), list(limits)
    if not limits:
        return True
    return bool(globs) and all(any(_covers(limit, glob) for limit in limits) for glob in globs)


def made_with_usable() -> Q:
    """Return a condition on objects with `made_with`: no key created them, or one that is still usable."""
    return Q(made_with=None) | Q(made_with__in=api_keys.usable())


def made_with_ended() -> Q:
    """Return a condition on the same objects: their key is revoked or expired."""
    return Q(made_with__revoked_at__isnull=False) | Q(made_with__expires_at__lte=timezone.now())


def _covers(limit: str, glob: str) -> bool:
    if limit == glob:
        return True
    if not any(character in glob for character in SPECIAL):
        return fnmatchcase(glob, limit)
    prefix = limit.removesuffix("*")
    is_prefix = prefix != limit and not any(character in prefix for character in SPECIAL)
    return is_prefix and glob.startswith(prefix)
