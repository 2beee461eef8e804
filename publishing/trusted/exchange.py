"""The exchange of a CI's identity token for a short-lived token, for the publishers that match it."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.authentication import api_keys
from channels_app.channels import pending_names
from channels_app.models import ApiKey, KeyKind
from channels_app.quotas import user_limits
from channels_app.rate_limits import counters
from hub.errors import unprocessable
from hub.observability import metrics
from publishing.id_tokens import jwt_verification
from publishing.id_tokens.claims import BadToken, Claims, Code
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher, UsedIdToken
from publishing.trusted import candidates, issuers, publishers

KEPT_AFTER_EXPIRY = timedelta(days=1)
CHANNEL_NOT_CREATED = "The channel can't be created. The user who added the trusted publisher can see why."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A CI's identity token whose issuer is registered, and whose signature, times and claims were checked."""

    issuer: Issuer
    signed_claims: Claims
    replay_key: str

    @property
    def provider(self) -> Provider:
        return PROVIDERS[self.issuer.provider]

    @property
    def rate_limit_key(self) -> str:
        """The key of the rate limit. The subject alone is not enough: a repository of GitHub can choose its form."""
        pins = self.provider.pins_in(self.signed_claims)
        return f"{self.issuer.pk} {self.signed_claims['sub']} {sorted(pins.items())}"

    @property
    def name(self) -> str:
        """The name of the short-lived token, for people."""
        subject = self.provider.claimed_subject(self.signed_claims) or self.signed_claims["sub"]
        return f"{self.provider.title}: {subject}"


def exchange(unverified_jwt: str) -> str:
    """Return a short-lived token for this identity token. Raise HubError 422 with one of claims.Code."""
    provider = "unknown"
    try:
        token = verified(unverified_jwt)
        provider = token.issuer.provider
        counters.hit("mint-by-subject", token.rate_limit_key, "exchanges of this CI's tokens")
        secret = _create_token(token, publishers.matching(token.issuer, token.signed_claims))
    except BadToken as error:
        logger.info("identity token refused: %s", error.code)
        metrics.TOKEN_EXCHANGES.labels(provider, error.code).inc()
        raise unprocessable(error.code, error.reason) from None
    metrics.TOKEN_EXCHANGES.labels(provider, "minted").inc()
    return secret


def verified(unverified_jwt: str) -> VerifiedToken:
    """Verify an identity token. Raise BadToken if it is invalid."""
    unverified = jwt_verification.parse_unverified(unverified_jwt)
    issuer = issuers.registered(unverified.issuer)
    provider = PROVIDERS[issuer.provider]
    signed_claims = jwt_verification.verify(
        unverified,
        issuers.key(issuer, unverified.key_id),
        audiences=audiences(),
        max_lifetime_s=provider.max_lifetime_s,
        now=int(time.time()),
        needs_token_id=provider.has_token_id,
    )
    provider.check(signed_claims)
    return VerifiedToken(issuer, signed_claims, jwt_verification.replay_key(unverified_jwt, signed_claims))


def audiences() -> list[str]:
    """Return the accepted audiences. They come from the settings, never from the request."""
    return [settings.PUBLIC_HOST, *(["prefix.dev"] if settings.HUB_PREFIX_DEV_AUDIENCE else [])]


def delete_expired() -> None:
    """Delete used identity tokens that can't be replayed any more, and expired short-lived tokens after a day."""
    UsedIdToken.objects.filter(expires_at__lt=timezone.now()).delete()
    ApiKey.objects.filter(kind=KeyKind.SHORT_LIVED, expires_at__lt=timezone.now() - KEPT_AFTER_EXPIRY).delete()


@transaction.atomic
def _create_token(token: VerifiedToken, matched: list[TrustedPublisher]) -> str:
    _mark_used(token)
    settled = _settled(_locked(token, matched), token.signed_claims)
    key, secret = api_keys.create_short_lived_token(
        publishers=settled,
        name=token.name,
        claims=dict(token.signed_claims),
        expires_at=timezone.now() + timedelta(minutes=settings.HUB_SHORT_LIVED_TOKEN_MINUTES),
    )
    for publisher in settled:
        target = publisher.subject or token.issuer.url
        log.record(Action.KEY_MINT, by=Actor(key=key), channel=publisher.channel, target=target)
    return secret


def _locked(token: VerifiedToken, matched: list[TrustedPublisher]) -> list[TrustedPublisher]:
    """Lock the publishers, and return those that still match. Raise BadToken if there is none."""
    # Lock the names before the users, in the same order as all code that creates such a channel.
    pending = [publisher for publisher in matched if publisher.channel_name]
    pending_names.lock(*(publisher.channel_name for publisher in pending))
    user_limits.lock_users(*(publisher.created_by_id for publisher in pending if publisher.created_by_id))
    locked = TrustedPublisher.objects.select_for_update(of=("self",)).select_related("channel", "issuer", "created_by")
    # Compare again under the lock: another exchange may have pinned the publisher to other ids meanwhile.
    current = [
        publisher
        for publisher in locked.filter(pk__in=[publisher.pk for publisher in matched])
        if token.provider.difference(publisher.fields, publisher.pins, token.signed_claims) is None
    ]
    if not current:
        raise BadToken(Code.NO_PUBLISHER, "The trusted publisher was removed or pinned to other ids at this moment.")
    return current


def _settled(current: list[TrustedPublisher], signed_claims: Claims) -> list[TrustedPublisher]:
    """Return the publishers that could be settled, without those that fail. Raise BadToken if all fail."""
    settled, failures = [], {}
    for publisher in current:
        try:
            with transaction.atomic():
                publishers.settle(publisher, signed_claims)
        except BadToken as error:
            failures[candidates.tenant(publisher)] = error
        except (IntegrityError, DataError):
            # An error in the rows of one user must not stop the exchange for others.
            logger.exception("publisher %s can't be settled", publisher.pk)
            failures[candidates.tenant(publisher)] = BadToken(Code.CHANNEL_TAKEN, CHANNEL_NOT_CREATED)
        else:
            settled.append(publisher)
    if settled:
        return settled
    if len(failures) == 1:
        raise next(iter(failures.values()))
    # With several users, the reasons would disclose the names of their pending channels.
    raise BadToken(Code.CHANNEL_TAKEN, CHANNEL_NOT_CREATED)


def _mark_used(token: VerifiedToken) -> None:
    expires_at = datetime.fromtimestamp(jwt_verification.replayable_until(token.signed_claims), UTC)
    try:
        with transaction.atomic():
            UsedIdToken.objects.create(issuer=token.issuer, replay_key=token.replay_key, expires_at=expires_at)
    except IntegrityError:
        raise BadToken(
            Code.REPLAYED, "This identity token was exchanged already; each can be used once. Ask the CI for a new one."
        ) from None
