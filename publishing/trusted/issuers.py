"""Whose identity tokens are taken, and their keys, kept in the database: all processes share one cache.

A key that is not there is asked for once a minute at most, whoever asks; a job refreshes within the hour. An issuer
that does not answer keeps its old keys for a day, then its tokens are refused.
"""

import logging
import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.utils import timezone

from hub import fetching
from hub.fetching import FetchError
from publishing.id_tokens import jwks
from publishing.id_tokens.claims import BadToken, Claims, Code
from publishing.id_tokens.jwks import BadKeySet
from publishing.id_tokens.provider import Provider
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer

RETRY = timedelta(seconds=60)
REFRESH = timedelta(minutes=50)
KEPT = timedelta(hours=24)
POLL_S = 0.05
ASKING = "being asked now"
ASKING_MAX = timedelta(seconds=2 * fetching.TIMEOUT_S)  # for two documents; whoever asks for longer has died

logger = logging.getLogger(__name__)


def registered(url: str) -> Issuer:
    """The issuer with this very URL; asks nobody. Raises BadToken."""
    issuer = Issuer.objects.filter(url=url, is_enabled=True).first()
    if issuer is None:
        raise BadToken(
            Code.UNKNOWN_ISSUER,
            f"This hub takes no tokens of the issuer '{url[:200]}'. An administrator can add it.",
        )
    return issuer


def provider_of(signed_claims: Claims) -> Provider:
    """The provider whose identity token, one that was taken, said this."""
    return PROVIDERS[Issuer.objects.get(url=signed_claims["iss"]).provider]


def key(issuer: Issuer, key_id: str) -> dict[str, Any]:
    """The issuer's key of that id, as a JWK. Raises BadToken; may ask the issuer once, for at most 10 seconds."""
    found: dict[str, Any] | None = _kept(issuer).get(key_id)
    if found is None:
        if _claim(issuer):
            refresh(issuer)
        _read_again(issuer)
        found = _kept(issuer).get(key_id)
    if found is None:
        # The reason is for administrators: it may name what is inside.
        trouble = " It could not be asked for newer ones just now." if issuer.failure else ""
        raise BadToken(Code.UNKNOWN_KEY, f"The token is signed with a key that {issuer} does not publish.{trouble}")
    return found


def refresh(issuer: Issuer) -> None:
    """Fetch the issuer's keys; where that fails, the old ones stay and the reason is noted."""
    now = timezone.now()
    try:
        address = keys_url(issuer.url, issuer.key_hosts)
        found = jwks.read_key_set(fetching.get(address, max_bytes=jwks.KEY_SET_MAX_BYTES))
    except (FetchError, BadKeySet) as error:
        logger.warning("the keys of %s could not be refreshed: %s", issuer, error)
        Issuer.objects.filter(pk=issuer.pk).update(tried_at=now, failure=str(error)[:300])
    else:
        Issuer.objects.filter(pk=issuer.pk).update(tried_at=now, fetched_at=now, key_set=found, failure="")


def keys_url(url: str, key_hosts: Collection[str]) -> str:
    """Where the issuer's keys are, by its discovery document. Raises FetchError, BadKeySet."""
    discovery = fetching.get(f"{url.rstrip('/')}/.well-known/openid-configuration")
    return jwks.read_discovery(discovery, url, key_hosts)


def refresh_all() -> None:
    """Refresh the keys of every issuer that has publishers and whose keys are nearly an hour old."""
    old = Q(fetched_at=None) | Q(fetched_at__lt=timezone.now() - REFRESH)
    for issuer in Issuer.objects.filter(old, is_enabled=True, publishers__isnull=False).distinct():
        refresh(issuer)


def _kept(issuer: Issuer) -> dict[str, Any]:
    is_fresh = issuer.fetched_at is not None and timezone.now() - issuer.fetched_at < KEPT
    kept: dict[str, Any] = issuer.key_set
    return kept if is_fresh else {}


def _claim(issuer: Issuer) -> bool:
    """Whether it is for this request to ask: one in a minute, over all processes."""
    now = timezone.now()
    if issuer.tried_at and now - issuer.tried_at < RETRY:
        return False  # without a write, for which strangers' key ids would queue up
    waited = Q(tried_at=None) | Q(tried_at__lte=now - RETRY)
    return bool(Issuer.objects.filter(waited, pk=issuer.pk).update(tried_at=now, failure=ASKING))


def _read_again(issuer: Issuer) -> None:
    """What is known of the issuer now; where another request is asking at this moment, what that one hears."""
    issuer.refresh_from_db()
    while issuer.failure == ASKING and issuer.tried_at and timezone.now() - issuer.tried_at < ASKING_MAX:
        time.sleep(POLL_S)
        issuer.refresh_from_db()
