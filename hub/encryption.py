"""Encryption of secrets in the database, with keys derived from SECRET_KEY; a copy of the database alone reveals none.

Secrets of an earlier SECRET_KEY are read through SECRET_KEY_FALLBACKS.
"""

import base64
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db.models import QuerySet


def encrypt(text: str, *, purpose: bytes) -> str:
    """Encrypt the text. `purpose` separates the keys of different kinds of secrets."""
    return _cipher(purpose).encrypt(text.encode()).decode()


def decrypt(encrypted: str, *, purpose: bytes) -> str:
    """Return the text. Raise cryptography.fernet.InvalidToken if no key can decrypt it."""
    return _cipher(purpose).decrypt(encrypted.encode()).decode()


def is_current(encrypted: str, *, purpose: bytes) -> bool:
    """Tell whether the text is encrypted with the current SECRET_KEY."""
    try:
        _key_of(settings.SECRET_KEY, purpose).decrypt(encrypted.encode())
    except InvalidToken:
        return False
    return True


def renew(rows: QuerySet[Any], field: str, *, purpose: bytes) -> int:
    """Encrypt a column with the current SECRET_KEY where an earlier one did. Return the number of unreadable rows."""
    unreadable = 0
    for pk, encrypted in rows.values_list("pk", field):
        if is_current(encrypted, purpose=purpose):
            continue
        try:
            renewed = encrypt(decrypt(encrypted, purpose=purpose), purpose=purpose)
        except InvalidToken:
            unreadable += 1
        else:
            rows.filter(pk=pk, **{field: encrypted}).update(**{field: renewed})
    return unreadable


def _cipher(purpose: bytes) -> MultiFernet:
    """Return a cipher that encrypts with the current key and decrypts with each."""
    return MultiFernet(_key_of(key, purpose) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=16)
def _key_of(secret_key: str, purpose: bytes) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
