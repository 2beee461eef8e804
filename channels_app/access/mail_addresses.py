"""E-mail addresses: whose one is. They are kept in small letters, and compared letter by letter.

A database that ignores capitals takes more letters for the same. To PostgreSQL an i without a dot is an I: anybody can
have an address with such a letter, and it would be somebody else's.
"""

from allauth.account.models import EmailAddress
from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from channels_app.models import User


def plain(address: str) -> str:
    """The address as it is kept."""
    return address.strip().lower()


def verified(address: str) -> QuerySet[EmailAddress]:
    """The account's address that this is, if somebody has verified it."""
    found: QuerySet[EmailAddress] = EmailAddress.objects.filter(email=plain(address), verified=True)
    return found


def account_named(name: str) -> User | None:
    """The account that signs in by this user name or address; one query.

    Whoever has verified an address comes before all who have only typed it in. Of several of those it is nobody's.
    """
    address = plain(name)
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
