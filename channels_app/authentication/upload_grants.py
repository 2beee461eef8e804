"""Upload grants: signed rights to send the bytes of one file, for clients whose data request has no credential.

A grant names the key or token that asked for it. The right of that key is checked again when the grant is used.
"""

from dataclasses import dataclass
from datetime import timedelta

from allauth.idp.oidc.models import Token
from django.core import signing

from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from hub.errors import forbidden, unauthenticated

# Another one whenever the claims change.
SALT = "upload-grant-2"
# A proxy may buffer a large body before the hub sees the request.
LIFETIME = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Grant:
    """The right of `actor` to send the bytes with this SHA-256 as `file_name` in `subdir`."""

    actor: Actor
    subdir: str
    file_name: str
    sha256: str
    replaces_deleted: bool = False  # the bytes may take the name of a deleted file
    labels: tuple[str, ...] = ()  # those that the file gets


def sign(grant: Grant, channel: str) -> str:
    """Return the grant as text for a URL."""
    key, token = grant.actor.key, grant.actor.token
    ids = (key and key.pk, token and token.pk)
    claims = [channel, grant.subdir, grant.file_name, grant.sha256, grant.replaces_deleted, grant.labels, *ids]
    return signing.dumps(claims, salt=SALT)


def read(text: str, channel: str) -> Grant:
    """Return the grant. Raise 403 unless it is signed, recent and for `channel`; raise 401 if its key has ended."""
    try:
        granted_channel, *claims = signing.loads(text, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        granted_channel, claims = None, []
    if granted_channel != channel:
        raise forbidden(
            "grant_invalid",
            "The address of this upload is incomplete or older than "
            f"{LIFETIME.total_seconds() / 60:.0f} minutes. Start the upload again.",
        )
    subdir, file_name, sha256, replaces_deleted, labels, key_id, token_id = claims
    return Grant(_actor(key_id, token_id), subdir, file_name, sha256, replaces_deleted, tuple(labels))


def _actor(key_id: int | None, token_id: int | None) -> Actor:
    key = api_keys.usable().select_related("owner").filter(pk=key_id or 0).first()
    if key:
        return Actor(user=key.owner, key=key)
    token = (
        Token.objects.valid().select_related("user", "client").filter(pk=token_id or 0, user__is_active=True).first()
    )
    if token is None:
        raise unauthenticated("invalid_key", "The key of this upload was revoked or has expired meanwhile.")
    return Actor(user=token.user, token=token)
