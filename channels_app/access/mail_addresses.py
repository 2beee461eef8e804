"""E-mail addresses and their accounts. Addresses are stored in lower case and compared byte by byte.

A case-insensitive comparison in the database equates more letters than that. PostgreSQL equates the dotless i with I:
anybody could register such an address and be taken for another user.
"""

from allauth.account.models import EmailAddress
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from channels_app.models import User


def normalize(address: str) -> str:
    """Return the address in the form in which it is stored."""
    return address.strip().lower()


def verified(address: str) -> QuerySet[EmailAddress]:
    """Select the verified record of this address, if there is one."""
    found: QuerySet[EmailAddress] = EmailAddress.objects.filter(email=normalize(address), verified=True)
    return found


def account_named(name: str) -> User | None:
    """Return the account that signs in by this user name or address; one query.

    A user who has verified an address takes precedence over users who have only entered it. Return None if several
    users have only entered it.
    """
    address = normalize(name)
    if not address:
        return None
    own = EmailAddress.objects.filter(email=address)
    named = Q(username__lower=address) | Q(username=name.strip())
    verified_by = Q(pk__in=own.filter(verified=True).values("user"))
    typed_in_by = Q(email__lower=address) | Q(pk__in=own.values("user"))
    claim = Case(
        When(named, then=Value(0)), When(verified_by, then=Value(1)), default=Value(2), output_field=IntegerField()
    )
    found = User.objects.filter(named | typed_in_by).annotate(claim=claim).order_by("claim", "pk")
    first, second = [*found[:2], None, None][:2]
    is_clear = first is None or second is None or first.claim < second.claim  # type: ignore[attr-defined]
    return first if is_clear else None
