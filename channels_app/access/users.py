"""Lookup of users by name."""

from channels_app.access import user_names
from channels_app.models import User
from hub.errors import not_found


def user_named(username: str) -> User:
    """Return the active user of this name, in any capitals. Raise HubError 404 if there is none."""
    user = user_names.with_name(username).filter(is_active=True).first()
    if user is None:
        raise not_found(
            "no_such_user",
            f"There is no user '{username[:150]}' on this hub; invite people without an account by e-mail.",
        )
    return user
