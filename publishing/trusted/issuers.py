"""Issuers of accepted identity tokens, and their keys: cached in the database for all processes.

A request for an unknown key fetches the keys at most once a minute over all processes. A job refreshes them within the
hour. The keys of an issuer that doesn't respond stay valid for a day; then its tokens are refused.
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
ASKING_MAX = timedelta(seconds=2 * fetching.TIMEOUT_S)  # for two documents; a longer fetch has died

logger = logging.getLogger(__name__)


def registered(url: str) -> Issuer:
    """Return the issuer with exactly this URL, without a request to it. Raise BadToken if it is not registered."""
    issuer = Issuer.objects.filter(url=url, is_enabled=True).first()
    if issuer is None:
        raise BadToken(
            Code.UNKNOWN_ISSUER,
            f"This hub takes no tokens of the issuer '{url[:200]}'. An administrator can add it.",
        )
    return issuer


def provider_of(signed_claims: Claims) -> Provider:
    """Return the provider that issued the token of these claims."""
    return PROVIDERS[Issuer.objects.get(url=signed_claims["iss"]).provider]


def key(issuer: Issuer, key_id: str) -> dict[str, Any]:
    """Return the issuer's key with that id, as a JWK. Raise BadToken if there is none.

    An unknown id may fetch the keys once, which takes at most 10 seconds.
    """
    found: dict[str, Any] | None = _valid_keys(issuer).get(key_id)
    if found is None:
        if _claim_fetch(issuer):
            refresh(issuer)
        _read_again(issuer)
        found = _valid_keys(issuer).get(key_id)
    if found is None:
        # Only administrators see the reason, which may name internal addresses.
        trouble = " Its keys could not be refreshed just now." if issuer.failure else ""
        raise BadToken(Code.UNKNOWN_KEY, f"The token is signed with a key that {issuer} does not publish.{trouble}")
    return found


def refresh(issuer: Issuer) -> None:
    """Fetch the issuer's keys. If that fails, keep the old ones and store the reason."""
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
    """Return the URL of the issuer's keys from its discovery document. Raise FetchError or BadKeySet."""
    discovery = fetching.get(f"{url.rstrip('/')}/.well-known/openid-configuration")
    return jwks.read_discovery(discovery, url, key_hosts)


def refresh_all() -> None:
    """Refresh the keys of every issuer with publishers if its keys are older than 50 minutes."""
    old = Q(fetched_at=None) | Q(fetched_at__lt=timezone.now() - REFRESH)
    for issuer in Issuer.objects.filter(old, is_enabled=True, publishers__isnull=False).distinct():
        refresh(issuer)


def _valid_keys(issuer: Issuer) -> dict[str, Any]:
    is_fresh = issuer.fetched_at is not None and timezone.now() - issuer.fetched_at < KEPT
    keys: dict[str, Any] = issuer.key_set
    return keys if is_fresh else {}


def _claim_fetch(issuer: Issuer) -> bool:
    """Tell whether this request may fetch the keys: one request a minute may, over all processes."""
    now = timezone.now()
    if issuer.tried_at and now - issuer.tried_at < RETRY:
        return False  # without a write: requests with unknown key ids would queue for the row's lock
    waited = Q(tried_at=None) | Q(tried_at__lte=now - RETRY)
    return bool(Issuer.objects.filter(waited, pk=issuer.pk).update(tried_at=now, failure=ASKING))


def _read_again(issuer: Issuer) -> None:
    """Reload the issuer. If another request is fetching its keys, wait for the result."""
    issuer.refresh_from_db()
    while issuer.failure == ASKING and issuer.tried_at and timezone.now() - issuer.tried_at < ASKING_MAX:
        time.sleep(POLL_S)
        issuer.refresh_from_db()
