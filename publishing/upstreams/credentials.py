"""Credentials of upstreams, encrypted in the database."""

from cryptography.fernet import InvalidToken

from hub import encryption
from publishing.models import Upstream
from publishing.upstreams.errors import UpstreamError

PURPOSE = b"channelhub: upstreams"


def encrypt(credential: str) -> str:
    return encryption.encrypt(credential, purpose=PURPOSE) if credential else ""


def of(upstream: Upstream) -> str:
    """Return the credential, or an empty string. Raise UpstreamError if no SECRET_KEY can decrypt it."""
    if not upstream.encrypted_credential:
        return ""
    try:
        return encryption.decrypt(upstream.encrypted_credential, purpose=PURPOSE)
    except InvalidToken as error:
        raise UpstreamError(
            "upstream_credential",
            "The stored credential can't be read: SECRET_KEY has changed. Enter it again.",
            is_temporary=False,
        ) from error


def encrypt_all() -> int:
    """Encrypt the credentials of earlier SECRET_KEYs with the current one. Return the number of unreadable ones."""
    stored = Upstream.objects.exclude(encrypted_credential="")
    return encryption.renew(stored, "encrypted_credential", purpose=PURPOSE)
