"""User names: the rule for new ones, and the search for a user, both case-insensitive."""

import re

from django.core.validators import RegexValidator
from django.db.models import Case, Q, QuerySet, When

from channels_app.models import User

# What the database may hold: names of before, and those that a command or a provider gave.
POSSIBLE = re.compile(r"[\w.@+-]{1,150}\Z")
# No new name looks like another's, or like an address; whether its user or an administrator chooses it.
VALIDATORS = [
    RegexValidator(
        r"\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\Z",
        "Expected letters from a to z, digits, '_', '.' and '-', beginning with a letter or digit.",
    )
]


def is_possible(text: str) -> bool:
    return POSSIBLE.match(text) is not None


def with_name(name: str) -> QuerySet[User]:
    """Return the user of this name, in any capitals."""
    exactly = Case(When(username=name, then=0), default=1)
    return User.objects.filter(Q(username__lower=name.lower()) | Q(username=name)).order_by(exactly)
