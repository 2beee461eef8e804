"""The rights that a credential passes on: at most its own, with its limits, and no longer than itself.

It is checked twice: when something is made, so that whoever asks for more is told, and at each use, because what the
maker may do can become less.
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
    """Raise 403 where a key would give `what`, in words, more than it has; a person gives what the act allows."""
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
    """Tell whether `limits` let every name through that `globs` do, as far as their text tells; none means all."""
    globs, limits = list(globs), list(limits)
    if not limits:
        return True
    return bool(globs) and all(any(_covers(limit, glob) for limit in limits) for glob in globs)


def living() -> Q:
    """A condition on what has a `made_with`: no key made it, or one that still works."""
    return Q(made_with=None) | Q(made_with__in=api_keys.usable())


def ended() -> Q:
    """A condition on the same: the key that made it has ended for good."""
    return Q(made_with__revoked_at__isnull=False) | Q(made_with__expires_at__lte=timezone.now())


def _covers(limit: str, glob: str) -> bool:
    if limit == glob:
        return True
    if not any(character in glob for character in SPECIAL):
        return fnmatchcase(glob, limit)
    prefix = limit.removesuffix("*")
    is_prefix = prefix != limit and not any(character in prefix for character in SPECIAL)
    return is_prefix and glob.startswith(prefix)
