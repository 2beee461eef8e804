"""Secrets of authenticator apps and recovery codes, encrypted in the database with keys derived from SECRET_KEY.

A copy of the database alone can't generate codes. Secrets encrypted with an earlier key are read through
SECRET_KEY_FALLBACKS, and encrypted again with the current key at the next start.
"""

from collections.abc import Callable
from typing import Any

from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.db import transaction

from hub import encryption
from hub.errors import HubError

# Marks encrypted text; plain seeds hold only letters and digits.
PREFIX = "fernet:"
PURPOSE = b"channelhub: second factors"


def encrypt(text: str) -> str:
    return PREFIX + encryption.encrypt(text, purpose=PURPOSE)


def decrypt(text: str) -> str:
    """Return the seed. Text without the prefix is from before encryption and returned unchanged.

    Raise HubError 500 if no key can decrypt it.
    """
    if not text.startswith(PREFIX):
        return text
    try:
        return encryption.decrypt(text.removeprefix(PREFIX), purpose=PURPOSE)
    except InvalidToken:
        raise HubError(
            500,
            "factor_unreadable",
            "The hub can't read your second factor: it was set up with a different SECRET_KEY. "
            "Sign in with a passkey, or ask an administrator to remove your second factors.",
        ) from None


def encrypt_all() -> int:
    """Encrypt plain secrets and those of earlier keys with the current key. Return the number of unreadable factors."""
    unreadable = 0
    for pk in Authenticator.objects.values_list("pk", flat=True).order_by("pk"):
        unreadable += not _encrypt_one(pk)
    return unreadable


@transaction.atomic
def _encrypt_one(pk: int) -> bool:
    """Encrypt one factor with the current key. Return False if no key can decrypt it."""
    factor = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if factor is None:
        return True
    try:
        data = _with_each_secret(factor.data, _renewed)
    except HubError:
        return False
    if data != factor.data:
        factor.data = data
        factor.save(update_fields=["data"])
    return True


def _with_each_secret(data: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Return the factor's data with `change` applied to each secret; passkeys have none."""
    changed: dict[str, Any] = {name: change(data[name]) for name in ("secret", "seed") if name in data}
    if "migrated_codes" in data:
        changed["migrated_codes"] = [change(code) for code in data["migrated_codes"]]
    return {**data, **changed}


def _renewed(text: str) -> str:
    """Return the secret encrypted with the current key; unchanged if it is already."""
    is_current = encryption.is_current(text.removeprefix(PREFIX), purpose=PURPOSE)
    return text if is_current else encrypt(decrypt(text))
