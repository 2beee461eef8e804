"""Packages of an upstream: fetched at the first request, once over all processes, verified, and kept up to a limit."""

import hashlib
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote, urljoin

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from channels_app.models import Channel
from channels_app.packages.queries import no_such_file
from hub import temporary
from hub.attempts import attempt_each
from hub.database import release_connection
from hub.errors import HubError, not_found, unavailable
from hub.locks import try_lock, wait_for_lock
from hub.observability import metrics
from hub.plain_text import one_line
from hub.sizes import human_size
from hub.storage import store
from publishing.archive import identity
from publishing.archive.errors import BadPackage
from publishing.index import upstream_records
from publishing.index.upstream_records import Record
from publishing.models import CachedFile, Upstream, UpstreamName
from publishing.upstreams import connections, errors, fetches, judging
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.fetches import Arriving, Fetch
from publishing.upstreams.transport import Transport

FETCH_TIMEOUT_S = 600.0
# Requests of one process, and for one channel in it, that may fetch a package or wait for it. Others are told to try
# again.
FETCHES_AT_ONCE, FETCHES_OF_A_CHANNEL = 16, 12
USED_AGAIN_AFTER_S = 300.0
MARKED_MAX = 10_000
# Files that were used since then are not evicted: a request may be about to send them.
IN_USE = timedelta(minutes=15)
# They may take this multiple of the limit, so that no reader fills the disk meanwhile.
LIMIT_FACTOR = 2

logger = logging.getLogger(__name__)

# Cached file → when this process last recorded its use.
_marked: dict[int, float] = {}
# Channel → such requests now.
_fetching = Counter[int]()
# (channel, subdir, file name) → the fetch of this process.
_running: dict[tuple[int, str, str], Fetch] = {}
_counting = threading.Lock()


def fetch(channel: Channel, subdir: str, file_name: str, record: Record, *, may_follow: bool) -> Arriving | None:
    """Fetch the file of a record into the store, once over all processes, and return None.

    If it takes long, the request that began the fetch gets the bytes as they come, if it may follow them.
    Raise HubError 502 or 503 if the upstream fails.
    """
    metrics.UPSTREAM_REQUESTS.labels("miss").inc()
    own = Fetch(record["size"])
    with ExitStack() as turn:
        turn.enter_context(_turn(channel))
        with _counting:
            running = _running.setdefault((channel.pk, subdir, file_name), own)
        release_connection()
        if running is own:
            # The turn lasts as long as the fetch.
            fetches.start(partial(_run, own, channel, subdir, file_name, record), turn.pop_all())
            if may_follow and (chunks := own.followed(FETCH_TIMEOUT_S)):
                return chunks
        if not running.wait(FETCH_TIMEOUT_S):
            raise unavailable("upstream_slow", f"'{file_name}' is still being fetched. Try again in a moment.")
    return None


def _run(fetch: Fetch, channel: Channel, subdir: str, file_name: str, record: Record) -> None:
    """Fetch the file unless another process has done so meanwhile, and tell the requests that wait."""
    error: Exception | None = None
    place = {"channel": channel, "subdir": subdir, "file_name": file_name}
    try:
        with wait_for_lock(_lock(channel, subdir, file_name), timeout_s=FETCH_TIMEOUT_S) as held:
            if not held:
                raise unavailable("upstream_slow", f"'{file_name}' is still being fetched. Try again in a moment.")
            if not CachedFile.objects.filter(**place, is_listed=True).exists():
                _fetch(fetch, channel, subdir, file_name, record)
    except UpstreamError as failure:
        error = _failure(channel, subdir, file_name, failure)
    except Exception as failure:
        if not isinstance(failure, HubError):
            logger.exception("%s/%s/%s was not fetched", channel, subdir, file_name)
        error = failure
    finally:
        with _counting:
            del _running[channel.pk, subdir, file_name]
        fetch.end(error)


@contextmanager
def _turn(channel: Channel) -> Iterator[None]:
    """Count the block as a fetch. Raise HubError 503 if too many run: slow upstreams leave threads free."""
    with _counting:
        if _fetching.total() >= FETCHES_AT_ONCE or _fetching[channel.pk] >= FETCHES_OF_A_CHANNEL:
            raise unavailable("upstream_fetches", "Too many packages are being fetched at once. Try again in a moment.")
        _fetching[channel.pk] += 1
    try:
        yield
    finally:
        with _counting:
            _fetching[channel.pk] -= 1
            if not _fetching[channel.pk]:
                del _fetching[channel.pk]


def evict() -> None:
    """Delete the files that were not used for the longest time from the caches that exceed their limit."""
    attempt_each(partial(_evict, upstream) for upstream in Upstream.objects.select_related("channel"))


def _evict(upstream: Upstream) -> None:
    files = CachedFile.objects.filter(channel=upstream.channel)
    surplus = _cached_bytes(upstream) - upstream.max_cached_bytes
    for file in files.filter(last_used_at__lt=timezone.now() - IN_USE).order_by("last_used_at").iterator():
        if surplus <= 0:
            return
        if remove(file):
            surplus -= file.size_bytes


def remove(file: CachedFile) -> bool:
    """Remove a file from the cache. Return False if it is being fetched."""
    with try_lock(_lock(file.channel, file.subdir, file.file_name)) as held:
        if held:
            file.delete()
            store().delete(f"{file.channel.name}/{file.subdir}/{file.file_name}")
        return held


def remove_unrecorded(channel: Channel, subdir: str, file_name: str) -> None:
    """Delete a file of the store that has no row, unless it is being fetched."""
    with try_lock(_lock(channel, subdir, file_name)) as held:
        place = {"channel": channel, "subdir": subdir, "file_name": file_name}
        if held and not CachedFile.objects.filter(**place).exists():
            store().delete(f"{channel.name}/{subdir}/{file_name}")


def mark_used(file_id: int) -> None:
    """Record the use of a cached file, at most once in some minutes for each process."""
    now = time.monotonic()
    if now - _marked.get(file_id, -USED_AGAIN_AFTER_S) < USED_AGAIN_AFTER_S:
        return
    if len(_marked) >= MARKED_MAX:
        _marked.clear()
    _marked[file_id] = now
    CachedFile.objects.filter(pk=file_id).update(last_used_at=timezone.now())


def listed(channel: Channel, subdir: str, file_name: str, *, is_locked: bool = False) -> Record:
    """Return the record of the file. Raise HubError 404 if it is not listed."""
    with suppress(BadPackage):
        name = identity.parse_file_name(file_name).name
        rows = UpstreamName.objects.filter(index__channel=channel, index__subdir=subdir, name=name)
        row = (rows.select_for_update(of=("self",)) if is_locked else rows).first()
        record = row and upstream_records.unpack(row.records).records.get(file_name)
        if row and record:
            if hidden := row.hidden.get(file_name):
                raise _refusal(file_name, *hidden)
            return record
    raise no_such_file(channel, subdir, file_name)


def _refusal(file_name: str, reason: str, text: str | int) -> HubError:
    if reason == judging.WAITING:
        until = judging.minute_of(int(text))
        return not_found("cooling_down", f"'{file_name}' is too new for this channel, which lists it from {until} on.")
    return not_found("held_back", f"'{file_name}' is held back: {text}")


def _failure(channel: Channel, subdir: str, file_name: str, error: UpstreamError) -> HubError:
    """Return the error for readers, who may not know the upstream's address. The log has the address."""
    logger.warning("%s/%s/%s: %s", channel, subdir, file_name, one_line(error.detail))
    if error.code == "upstream_not_found":
        return not_found(error.code, f"The upstream of '{channel}' does not have '{file_name}', which its index lists.")
    sentence = (
        f"The upstream of '{channel}' did not deliver '{file_name}'. Try again later, or ask an owner of the channel."
    )
    return HubError(503 if error.is_temporary else 502, error.code, sentence)


def _fetch(fetch: Fetch, channel: Channel, subdir: str, file_name: str, record: Record) -> None:
    """Fetch the file into a temporary one, verify it, and put it into the store."""
    upstream = Upstream.objects.select_related("channel").get(channel=channel)
    _make_room(upstream, file_name, record["size"])
    state = upstream.subdir_states.get(subdir=subdir)
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("upstream")) as folder:
        path = Path(folder, "package")
        with connections.to(upstream) as transport:
            _download(transport, urljoin(state.base_url, quote(file_name)), path, record, fetch)
        store().put(f"{channel.name}/{subdir}/{file_name}", path)
    _record(channel, subdir, file_name, record)


def _make_room(upstream: Upstream, file_name: str, size_bytes: int) -> None:
    """Raise HubError 507 if the limit is below the file's size, 503 if files in use take twice the limit."""
    limit = upstream.max_cached_bytes
    if size_bytes > limit:
        sentence = f"'{file_name}' has {human_size(size_bytes)}, more than the cache of '{upstream.channel}' takes."
        raise HubError(507, "cache_too_small", f"{sentence} An administrator can raise its limit.")
    if _cached_bytes(upstream) + size_bytes > LIMIT_FACTOR * limit:
        _evict(upstream)
        if _cached_bytes(upstream) + size_bytes > LIMIT_FACTOR * limit:
            raise unavailable("cache_full", f"The cache of '{upstream.channel}' is full. Try again in some minutes.")


def _cached_bytes(upstream: Upstream) -> int:
    files = CachedFile.objects.filter(channel=upstream.channel)
    total: int = files.aggregate(total=Sum("size_bytes", default=0))["total"]
    return total


@transaction.atomic
def _record(channel: Channel, subdir: str, file_name: str, record: Record) -> None:
    """Add the row of a stored file, unless its record was hidden, changed or removed since the fetch began."""
    if listed(channel, subdir, file_name, is_locked=True)["sha256"] != record["sha256"]:
        raise no_such_file(channel, subdir, file_name)
    values = {"name": record["name"], "sha256": record["sha256"], "size_bytes": record["size"]}
    CachedFile.objects.create(
        channel=channel, subdir=subdir, file_name=file_name, last_used_at=timezone.now(), **values
    )


def _download(transport: Transport, url: str, path: Path, record: Record, fetch: Fetch) -> None:
    sha256, size_bytes = hashlib.sha256(), record["size"]
    with transport.get(url, timeout_s=FETCH_TIMEOUT_S) as answer, path.open("wb") as file:
        if answer.size_bytes not in (None, size_bytes):
            raise errors.wrong_bytes(url)
        fetch.begin(path)
        for chunk in answer.chunks(size_bytes):
            file.write(chunk)
            file.flush()
            sha256.update(chunk)
            fetch.add(len(chunk))
            metrics.UPSTREAM_BYTES.inc(len(chunk))
    if path.stat().st_size != size_bytes or sha256.hexdigest() != record["sha256"]:
        raise errors.wrong_bytes(url)
    fetch.verified()


def _lock(channel: Channel, subdir: str, file_name: str) -> str:
    return f"upstream-file-{channel.pk}/{subdir}/{file_name}"
