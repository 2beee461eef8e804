"""`Idempotency-Key`: a repeated POST returns the response of the first one, without a second effect.

Source: the IETF draft draft-ietf-httpapi-idempotency-key-header. A key is one of its sender, for a day.
"""

import hashlib
from collections.abc import Callable
from datetime import timedelta

from cryptography.fernet import InvalidToken
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from channels_app.access.permissions import Actor, Permission, channel_for, permissions_if_any
from channels_app.models import Channel, IdempotentReply
from hub import encryption
from hub.errors import bad_request, conflict, unprocessable

KEY_MAX_CHARACTERS = 200
KEPT = timedelta(days=1)
# A response can hold the link of an invitation.
PURPOSE = b"channelhub: idempotent replies"


def answer_once(
    request: HttpRequest, actor: Actor, channel: str | None, run: Callable[[], HttpResponse]
) -> HttpResponse:
    """Return the response of `run`, or the stored one if the sender used the key before.

    Raise HubError 400 for a bad key, and 422 if the key was used for another request. `channel` is that of the URL: a
    sender who lost all rights there gets no stored body. Only 2xx is stored, but no response with a secret.
    """
    digest = _digest(sender(actor), _key(request))
    asked = _digest(request.method or "", request.get_full_path(), request.body.decode("latin-1"))
    with transaction.atomic():
        reply = _begin(digest, asked)
        if reply.status:
            response = _stored(reply)
            if response.content and channel is not None:
                _check_sees(actor, channel)
            return response
        response = run()
        is_secret = response.headers.get("Cache-Control") == "no-store"
        if is_secret or not 200 <= response.status_code < 300:
            reply.delete()  # without a rollback, as rate limits count failed requests, too
            return response
        reply.status = response.status_code
        reply.body = encryption.encrypt(response.content.decode(), purpose=PURPOSE)
        reply.headers = {name: response.headers[name] for name in ("Location",) if name in response.headers}
        reply.save()
    return response


def sender(actor: Actor) -> str:
    """Name the credential, so that no other one gets its response. Empty for anonymous requests."""
    if actor.key:
        return f"key {actor.key.pk}"
    if actor.token:
        return f"token {actor.token.pk}"
    return f"user {actor.user.pk}" if actor.user else ""


def delete_old() -> int:
    """Delete the replies that are older than a day, and return their number."""
    return IdempotentReply.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _key(request: HttpRequest) -> str:
    key = request.headers["Idempotency-Key"]
    if not 0 < len(key) <= KEY_MAX_CHARACTERS:
        raise bad_request(
            "bad_idempotency_key", f"Expected an Idempotency-Key of 1 to {KEY_MAX_CHARACTERS} characters."
        )
    return key


def _begin(digest: str, asked: str) -> IdempotentReply:
    """Create the reply, or wait for that of a concurrent request and return it. Raise HubError 422 if it differs."""
    IdempotentReply.objects.filter(digest=digest, created_at__lt=timezone.now() - KEPT).delete()
    try:
        with transaction.atomic():
            return IdempotentReply.objects.create(digest=digest, request_digest=asked)
    except IntegrityError:
        reply = IdempotentReply.objects.get(digest=digest)
    if reply.request_digest != asked:
        raise unprocessable(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request. Use a new one for each request.",
        )
    return reply


def _stored(reply: IdempotentReply) -> HttpResponse:
    headers = reply.headers | {"Idempotency-Replayed": "true"}
    try:
        body = encryption.decrypt(reply.body, purpose=PURPOSE)
    except InvalidToken:
        raise conflict(
            "reply_unreadable",
            "The first request with this Idempotency-Key was done, but its response can't be read any more: "
            "SECRET_KEY has changed. Nothing was repeated. Check the state, then use a new Idempotency-Key.",
        ) from None
    return HttpResponse(body, status=reply.status, content_type="application/json", headers=headers)


def _check_sees(actor: Actor, name: str) -> None:
    """Raise the HubError of a missing channel if `actor` has no permission in the channel."""
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    if not permissions_if_any(actor, channel):
        channel_for(actor, name, Permission.READ)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
