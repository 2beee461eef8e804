"""Users by what names them."""

from django.db.models import Q

from channels_app.models import User
from hub.errors import not_found


def account_named(name: str) -> User | None:
    """The account with this user name or e-mail address."""
    name = name.strip()
    by_email = Q(email__iexact=name) | Q(emailaddress__email__iexact=name)
    return User.objects.filter(Q(username__iexact=name) | by_email).order_by("pk").first() if name else None


def user_named(username: str) -> User:
    """The user of exactly that name, who can still sign in; 404 where there is none."""
    user = User.objects.filter(username=username, is_active=True).first()
    if user is None:
        raise not_found(
            "no_such_user",
            f"There is no user '{username[:150]}' on this hub. Names distinguish capital letters; "
            "whoever has no account can be invited by e-mail.",
        )
    return user
