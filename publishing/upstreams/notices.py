"""Notices of an upstream (CEP 6), which its channel lists after its own."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db import transaction
from django.utils import timezone

from hub.plain_text import one_line, visible
from hub.sizes import KIB
from publishing.index import builds, repodata
from publishing.models import NoticeLevel, Upstream
from publishing.upstreams import errors
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.transport import Answer, Transport

TIMEOUT_S = 30.0
MAX_BYTES = 256 * KIB
NOTICES_MAX = 20
ID_MAX_CHARACTERS, MESSAGE_MAX_CHARACTERS = 100, 1000
# Buckets answer 403 for a file that is missing.
NONE = ("upstream_not_found", "upstream_forbidden")

logger = logging.getLogger(__name__)

Notice = dict[str, str]


def poll(upstream: Upstream, transport: Transport) -> None:
    """Store the upstream's notices that have not expired. While it fails, the last ones stay."""
    etag, found = upstream.notices_etag, upstream.notices or []
    headers = {"If-None-Match": etag} if etag else {}
    try:
        with transport.get(f"{upstream.url}/{repodata.NOTICES}", timeout_s=TIMEOUT_S, headers=headers) as answer:
            if answer.status == 200:
                etag, found = answer.header("ETag")[:300], _read(answer)
    except UpstreamError as error:
        if error.code in NONE:
            etag, found = "", []
        else:
            logger.warning("%s: %s", upstream.channel, one_line(error.detail))
    _store(upstream, etag, [each for each in found if _moment(each["expires_at"]) > timezone.now()])


@transaction.atomic
def _store(upstream: Upstream, etag: str, found: list[Notice]) -> None:
    if found != (upstream.notices or []):
        builds.schedule_build(upstream.channel, builds.WHOLE_CHANNEL, [])
    Upstream.objects.filter(pk=upstream.pk).update(notices=found, notices_etag=etag)


def _read(answer: Answer) -> list[Notice]:
    """Return the notices that clients can read. Raise UpstreamError if it is no list of notices."""
    try:
        stated = orjson.loads(answer.read(MAX_BYTES))["notices"]
        return [notice for each in stated[:NOTICES_MAX] for notice in _checked(each)]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise errors.unreadable(answer.url, "it is no list of notices") from error


def _checked(stated: Any) -> Iterator[Notice]:
    """Yield the notice as the hub lists its own, unless it lacks something. Old ones state `expired_at`."""
    try:
        created_at, expires_at = (_moment(stated[key]) for key in ("created_at", _expiry(stated)))
        level = NoticeLevel(stated["level"])
        texts = {"id": visible(stated["id"])[:ID_MAX_CHARACTERS]}
        texts["message"] = visible(stated["message"])[:MESSAGE_MAX_CHARACTERS]
    except (KeyError, TypeError, ValueError, OverflowError):
        return
    times = {"created_at": created_at.isoformat(timespec="seconds")}
    yield {**texts, "level": level.value, **times, "expires_at": expires_at.isoformat(timespec="seconds")}


def _expiry(stated: dict[str, Any]) -> str:
    return "expires_at" if "expires_at" in stated else "expired_at"


def _moment(text: str) -> datetime:
    """Parse a time, which is in UTC if it has no zone, and return it in UTC. Raise ValueError, OverflowError."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
