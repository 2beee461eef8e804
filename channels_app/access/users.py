"""Lookup of users by name."""

from channels_app.models import User
from hub.errors import not_found


def user_named(username: str) -> User:
    """Return the active user with exactly this name; raise 404 if there is none."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise not_found(
            "no_such_user",
            f"There is no user '{username[:150]}' on this hub. User names are case-sensitive here. "
            "Invite people without an account by e-mail.",
        )
    return user
