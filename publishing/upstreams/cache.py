"""Packages and sidecars of an upstream: fetched once, over all processes, verified, and kept up to a limit."""

import hashlib
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import quote, urljoin

import orjson
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
from publishing.models import CachedFile, Upstream
from publishing.upstreams import connections, errors, fetches, wanted
from publishing.upstreams.errors import UpstreamError
from publishing.upstreams.fetches import Arriving, Fetch
from publishing.upstreams.transport import Transport
from publishing.upstreams.wanted import Wanted

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
# Errors of a body, which another request for the same sidecar would only repeat.
SAME_AGAIN = ("upstream_too_large", "upstream_unreadable")

logger = logging.getLogger(__name__)

# Cached file → when this process last recorded its use.
_marked: dict[int, float] = {}
# Channel → such requests now.
_fetching = Counter[int]()
# Key in the store → the fetch of this process.
_running: dict[str, Fetch] = {}
# Key of a sidecar that the upstream lacks → until when it is not asked for again, and the error.
_missing: dict[str, tuple[float, HubError]] = {}
_counting = threading.Lock()


def fetch(wanted: Wanted, *, may_follow: bool) -> Arriving | None:
    """Fetch the file into the store, once over all processes, and return None.

    If it takes long, the request that began the fetch gets the bytes as they come, if it may follow them.
    Raise HubError 502 or 503 if the upstream fails.
    """
    metrics.UPSTREAM_REQUESTS.labels("miss").inc()
    _refuse_missing(wanted.key)
    own = Fetch(wanted.most_bytes)
    with ExitStack() as turn:
        turn.enter_context(_turn(wanted.channel))
        with _counting:
            running = _running.setdefault(wanted.key, own)
        release_connection()
        if running is own:
            # The turn lasts as long as the fetch.
            fetches.start(partial(_run, own, wanted), turn.pop_all())
            if may_follow and (chunks := own.followed(FETCH_TIMEOUT_S)):
                return chunks
        if not running.wait(FETCH_TIMEOUT_S):
            raise _still_fetched(wanted)
    return None


def _still_fetched(wanted: Wanted) -> HubError:
    return unavailable("upstream_slow", f"'{wanted.file_name}' is still being fetched. Try again in a moment.")


def _run(fetch: Fetch, wanted: Wanted) -> None:
    """Fetch the file unless another process has done so meanwhile, and tell the requests that wait."""
    error: Exception | None = None
    try:
        with wait_for_lock(_lock(wanted.key), timeout_s=FETCH_TIMEOUT_S, is_for_slow_io=True) as held:
            if not held:
                raise _still_fetched(wanted)
            if not is_cached(wanted):
                _fetch(fetch, wanted)
    except UpstreamError as failure:
        error = _failure(wanted, failure)
    except Exception as failure:
        if not isinstance(failure, HubError):
            logger.exception("%s was not fetched", wanted.key)
        error = failure
    finally:
        with _counting:
            del _running[wanted.key]
        fetch.end(error)


def is_cached(wanted: Wanted) -> bool:
    place = {"channel": wanted.channel, "subdir": wanted.subdir, "file_name": wanted.file_name}
    return CachedFile.objects.filter(**place, is_listed=True).exists()


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
    with try_lock(_lock(str(file))) as held:
        if held:
            file.delete()
            store().delete(str(file))
        return held


def remove_unrecorded(channel: Channel, subdir: str, file_name: str) -> None:
    """Delete a file of the store that has no row, unless it is being fetched."""
    with try_lock(_lock(f"{channel}/{subdir}/{file_name}")) as held:
        if held:
            _delete_unrecorded(channel, subdir, file_name)


def _delete_unrecorded(channel: Channel, subdir: str, file_name: str) -> None:
    place = {"channel": channel, "subdir": subdir, "file_name": file_name}
    if not CachedFile.objects.filter(**place).exists():
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


def _failure(wanted: Wanted, error: UpstreamError) -> HubError:
    """Return the error for readers, who may not know the upstream's address. The log has the address."""
    logger.warning("%s: %s", wanted.key, one_line(error.detail))
    of_upstream = f"The upstream of '{wanted.channel}'"
    if error.code == "upstream_not_found":
        failure = not_found(error.code, f"{of_upstream} does not have '{wanted.file_name}', which its index lists.")
    else:
        sentence = f"{of_upstream} did not deliver '{wanted.file_name}'."
        remedy = "Try again later, or ask an owner of the channel."
        failure = HubError(503 if error.is_temporary else 502, error.code, f"{sentence} {remedy}")
    if wanted.size_bytes is None and (not error.is_temporary or error.code in SAME_AGAIN):
        _note_missing(wanted, failure)
    return failure


def _note_missing(wanted: Wanted, failure: HubError) -> None:
    """Remember until about the next poll that the upstream has no such sidecar, so that clients don't reach it."""
    if len(_missing) >= MARKED_MAX:
        _missing.clear()
    minutes = Upstream.objects.filter(channel=wanted.channel).values_list("poll_minutes", flat=True).first()
    _missing[wanted.key] = time.monotonic() + 60 * (minutes or 1), failure


def _refuse_missing(key: str) -> None:
    until, failure = _missing.get(key, (0.0, None))
    if failure and time.monotonic() < until:
        raise failure.with_traceback(None)


def _fetch(fetch: Fetch, wanted: Wanted) -> None:
    """Fetch the file into a temporary one, verify it, and put it into the store. Raise HubError if it may not stay."""
    _check_listed(wanted)
    upstream = Upstream.objects.select_related("channel").get(channel=wanted.channel)
    _make_room(upstream, wanted)
    state = upstream.subdir_states.get(subdir=wanted.subdir)
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("upstream")) as folder:
        path = Path(folder, "package")
        with connections.to(upstream) as transport:
            release_connection()
            _download(transport, urljoin(state.base_url, quote(wanted.file_name)), path, wanted, fetch)
        _check_listed(wanted)
        release_connection()
        fetch.verified()
        store().put(wanted.key, path)
        try:
            _record(wanted, path.stat().st_size)
        except HubError:
            _delete_unrecorded(wanted.channel, wanted.subdir, wanted.file_name)
            raise


def _make_room(upstream: Upstream, wanted: Wanted) -> None:
    """Raise HubError 507 if the limit is below the file's size, 503 if files in use take twice the limit."""
    limit, size_bytes, file_name = upstream.max_cached_bytes, wanted.size_bytes or 0, wanted.file_name
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


def _check_listed(file: Wanted, *, is_locked: bool = False) -> None:
    """Raise HubError 404 if the record was hidden, changed or removed since the request for the file."""
    if wanted.of(file.channel, file.subdir, file.file_name, is_locked=is_locked).sha256 != file.sha256:
        raise no_such_file(file.channel, file.subdir, file.file_name)


@transaction.atomic
def _record(file: Wanted, size_bytes: int) -> None:
    """Add the row of a stored file. Raise HubError as _check_listed()."""
    _check_listed(file, is_locked=True)
    place = {"channel": file.channel, "subdir": file.subdir, "file_name": file.file_name}
    values = {"name": file.name, "sha256": file.sha256, "size_bytes": size_bytes}
    CachedFile.objects.create(**place, **values, last_used_at=timezone.now())


def _download(transport: Transport, url: str, path: Path, wanted: Wanted, fetch: Fetch) -> None:
    """Write the file to `path`. Raise UpstreamError unless it has the size and hash of the record."""
    sha256 = hashlib.sha256()
    with transport.get(url, timeout_s=FETCH_TIMEOUT_S) as answer, path.open("wb") as file:
        if wanted.size_bytes and answer.size_bytes not in (None, wanted.size_bytes):
            raise errors.wrong_bytes(url)
        fetch.begin(path)
        for chunk in answer.chunks(wanted.most_bytes):
            file.write(chunk)
            file.flush()
            sha256.update(chunk)
            fetch.add(len(chunk))
            metrics.UPSTREAM_BYTES.inc(len(chunk))
    if sha256.hexdigest() != wanted.sha256 or path.stat().st_size != (wanted.size_bytes or path.stat().st_size):
        raise errors.wrong_bytes(url)
    if wanted.size_bytes is None and not _is_sidecar(path.read_bytes()):
        raise errors.unreadable(url, "it is no list of attestations")


def _is_sidecar(content: bytes) -> bool:
    """Tell whether this is a JSON array of objects."""
    try:
        bundles = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(bundles, list) and all(isinstance(bundle, dict) for bundle in bundles)


def _lock(key: str) -> str:
    return f"upstream-file-{key}"
