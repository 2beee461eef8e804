"""Signatures of webhooks by HMAC-SHA-256, as Standard Webhooks 1.0 defines them.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets

from channels_app.models import Webhook
from hub import encryption

PREFIX = "whsec_"
SECRET_BYTES = 32
PURPOSE = b"channelhub: webhooks"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def encrypt(secret: str) -> str:
    return encryption.encrypt(secret, purpose=PURPOSE)


def decrypt(encrypted_secret: str) -> str:
    """Return the secret. Raise cryptography.fernet.InvalidToken if no SECRET_KEY can decrypt it."""
    return encryption.decrypt(encrypted_secret, purpose=PURPOSE)


def headers(secret: str, *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of an attempt. They sign the id, the time of the attempt and the body."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.digest(key, f"{message_id}.{timestamp_s}.".encode() + body, hashlib.sha256)
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def encrypt_all() -> int:
    """Encrypt the secrets of earlier SECRET_KEYs with the current one. Return the number of unreadable ones."""
    return encryption.renew(Webhook.objects.all(), "encrypted_secret", purpose=PURPOSE)
