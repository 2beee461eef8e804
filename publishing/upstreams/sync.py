"""Polls of an upstream: the names that changed are stored, judged and built.

One poll of a channel runs at a time. Names are stored in batches, each in a transaction that also marks them stale. A
killed poll therefore goes on with the next one. The lock of the index is held meanwhile, so that other workers don't
build it in parts.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from itertools import chain

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from channels_app import identifiers
from hub.celery import send
from hub.locks import try_lock, wait_for_lock
from hub.plain_text import one_line
from publishing.index import builds, marks
from publishing.models import SubdirIndex, Upstream, UpstreamName, UpstreamSubdir
from publishing.upstreams import connections, names, notices, run_exports, source
from publishing.upstreams.errors import NotThere, UpstreamError
from publishing.upstreams.names import UpstreamRecords
from publishing.upstreams.source import Index
from publishing.upstreams.transport import Transport

SYNC = "publishing.tasks.sync_upstream"
NAMES_AT_ONCE, RECORDS_AT_ONCE = 200, 2000
INDEX_LOCK_S = 600.0
# A worker has four threads: slow upstreams leave it two. A poll that is stopped goes on with the next one.
POLLS_AT_ONCE, POLL_TIMEOUT_S = 2, 1800.0

# The index of a subdir that is no longer wanted.
NOTHING = Index("", "", "", "", {}, lambda names: iter(()))

logger = logging.getLogger(__name__)


def send_due() -> None:
    """Enqueue a job for each upstream that is to be polled, or that has names which are due."""
    now = timezone.now()
    upstreams = Upstream.objects.filter(channel__deleted_at=None)
    for upstream in upstreams.order_by(F("polled_at").asc(nulls_first=True), "pk"):
        if _must_judge_all(upstream) or _is_due(upstream, now) or names.due(upstream.channel_id, now).exists():
            send(SYNC, upstream.channel_id)


def sync(channel_id: int, *, is_forced: bool = False) -> bool:
    """Judge the names which are due, and poll the upstream of the channel if that is due or forced.

    Return False if another process does so already, or if enough other channels are polled. Errors of the upstream are
    recorded in its row.
    """
    with try_lock(f"upstream-{channel_id}") as held:
        if not held or not Upstream.objects.filter(channel=channel_id).exists():
            return held
        # New rules wait neither for a slow upstream nor for polls of other channels.
        upstream = _judged(channel_id)
        if not is_forced and not _is_due(upstream, timezone.now()):
            return True
        with _turn() as is_turn:
            if is_turn:
                _poll(upstream)
                _judged(channel_id)
            return is_turn


@contextmanager
def _turn() -> Iterator[bool]:
    """Yield whether fewer than POLLS_AT_ONCE polls run, over all processes. The block counts as one."""
    with ExitStack() as locks:
        yield any(locks.enter_context(try_lock(f"upstream-poll-{number}")) for number in range(POLLS_AT_ONCE))


def _is_due(upstream: Upstream, now: datetime) -> bool:
    return upstream.polled_at is None or upstream.polled_at <= now - timedelta(minutes=upstream.poll_minutes)


def _must_judge_all(upstream: Upstream) -> bool:
    """Tell whether names are to be judged again that are not due: for new rules, or because they have no packages."""
    return upstream.are_rules_new or not upstream.are_packages_listed


def _poll(upstream: Upstream) -> None:
    began = timezone.now()
    Upstream.objects.filter(pk=upstream.pk).update(polled_at=began)
    failed: UpstreamError | None = None
    missing: list[str] = []
    try:
        with connections.to(upstream, timeout_s=POLL_TIMEOUT_S) as transport:
            for subdir in upstream.subdirs:
                try:
                    _poll_subdir(upstream, transport, subdir)
                except NotThere:
                    missing.append(subdir)
                except UpstreamError as error:
                    logger.warning("%s/%s: %s", upstream.channel, subdir, error)
                    failed = failed or error
            if not failed:
                notices.poll(upstream, transport)
        _note_missing(upstream, missing, began)
    except UpstreamError as error:
        failed = error
    for state in upstream.subdir_states.exclude(subdir__in=upstream.subdirs):
        _take_over(upstream, state, NOTHING)
        state.delete()
    _record(upstream, began, failed or _missing(upstream, missing))


def _note_missing(upstream: Upstream, subdirs: Sequence[str], began: datetime) -> None:
    """Let the records of missing subdirs count as new when the upstream adds them, so that they wait."""
    if upstream.subdir_states.filter(is_synced=True).exclude(form="").exists():
        for subdir in subdirs:
            UpstreamSubdir.objects.get_or_create(
                upstream=upstream, subdir=subdir, defaults={"first_sync_at": began, "is_synced": True}
            )


def _missing(upstream: Upstream, subdirs: Sequence[str]) -> UpstreamError | None:
    """Return the error if no subdir has an index, or if one had one before. Others may never have had one."""
    had_one = upstream.subdir_states.filter(subdir__in=subdirs, is_synced=True).exclude(form="")
    gone = had_one.values_list("subdir", flat=True).first() or (
        subdirs[0] if len(subdirs) == len(upstream.subdirs) else ""
    )
    return NotThere(f"index of {gone}") if gone else None


def _record(upstream: Upstream, began: datetime, error: UpstreamError | None) -> None:
    ended: dict[str, object] = {"error_code": "", "error": "", "failing_since": None, "succeeded_at": began}
    if error:
        since = upstream.failing_since or began
        ended = {"error_code": error.code, "error": one_line(error.detail)[:1000], "failing_since": since}
    Upstream.objects.filter(pk=upstream.pk).update(**ended)


def _poll_subdir(upstream: Upstream, transport: Transport, subdir: str) -> None:
    state = upstream.subdir_states.filter(subdir=subdir).first() or UpstreamSubdir(
        upstream=upstream, subdir=subdir, first_sync_at=timezone.now()
    )
    url = f"{upstream.url}/{subdir}"
    with source.changed(transport, url, state) as index:
        if index:
            state.save()
            _take_over(upstream, state, index)
    if state.form and run_exports.poll(transport, url, state, is_index_new=index is not None):
        stored = SubdirIndex.objects.get(channel=upstream.channel, subdir=subdir)
        with wait_for_lock(builds.lock_name(stored.pk), timeout_s=INDEX_LOCK_S) as held:
            if held:
                _build(stored.pk)


def _take_over(upstream: Upstream, state: UpstreamSubdir, found: Index) -> None:
    """Store the changes, and build the index."""
    channel, subdir = upstream.channel, state.subdir
    stored = SubdirIndex.objects.filter(channel=channel, subdir=subdir).first() or marks.mark_stale(channel, subdir, [])
    with wait_for_lock(builds.lock_name(stored.pk), timeout_s=INDEX_LOCK_S) as held:
        if not held:
            raise UpstreamError("index_busy", f"The index of {subdir} was being built all the time. It is tried again.")
        known = dict(stored.upstream_names.exclude(upstream_hash="").values_list("name", "upstream_hash"))
        changed = [name for name, digest in found.hashes.items() if known.get(name) != digest]
        for batch in _in_batches(chain(_fetched(found, changed), _gone(known, found))):
            names.store(upstream, state, stored, batch)
        state.form, state.etag, state.base_url = found.form, found.etag[:300], found.base_url[:1000]
        state.last_modified, state.synced_at, state.is_synced = found.last_modified[:100], timezone.now(), True
        state.save()
        _build(stored.pk)


def _fetched(found: Index, changed: Sequence[str]) -> Iterator[UpstreamRecords]:
    """Yield the records of changed names. Names that CEP 26 does not allow are left out."""
    allowed = [name for name in changed if identifiers.is_package_name(name)]
    for name, raw in found.fetch(allowed):
        yield UpstreamRecords(name, found.hashes[name], raw)


def _gone(known: Iterable[str], found: Index) -> Iterator[UpstreamRecords]:
    return (UpstreamRecords(name, "", {}) for name in sorted(known) if name not in found.hashes)


def _in_batches(items: Iterable[UpstreamRecords]) -> Iterator[list[UpstreamRecords]]:
    """Yield batches of names that have a bounded number of records together, or one name each."""
    batch: list[UpstreamRecords] = []
    count = 0
    for item in items:
        if batch and (len(batch) == NAMES_AT_ONCE or count + len(item.raw) > RECORDS_AT_ONCE):
            yield batch
            batch, count = [], 0
        batch.append(item)
        count += len(item.raw)
    if batch:
        yield batch


def _judged(channel_id: int) -> Upstream:
    """Judge the names by the rules as they are now, and return the upstream."""
    upstream = _with_new_rules(channel_id)
    judge_due(upstream)
    return upstream


@transaction.atomic
def _with_new_rules(channel_id: int) -> Upstream:
    """Return the upstream as it is now. Mark all names as due if its rules were changed.

    Only this job changes many names, so that it meets no other that locks them in another order.
    """
    rows = Upstream.objects.select_related("channel").select_for_update(of=("self",))
    upstream = rows.get(channel=channel_id)
    if _must_judge_all(upstream):
        UpstreamName.objects.filter(index__channel=channel_id).update(due_at=timezone.now())
        Upstream.objects.filter(channel=channel_id).update(are_rules_new=False, are_packages_listed=True)
    return upstream


def judge_due(upstream: Upstream) -> None:
    """Judge the names which are due, and build their indexes."""
    now = timezone.now()
    for index in SubdirIndex.objects.filter(channel=upstream.channel_id).exclude(subdir=builds.WHOLE_CHANNEL):
        due = names.due(upstream.channel_id, now).filter(index=index)
        if not due.exists():
            continue
        with wait_for_lock(builds.lock_name(index.pk), timeout_s=INDEX_LOCK_S) as held:
            if held:
                state = upstream.subdir_states.filter(subdir=index.subdir).first()
                while some := list(due.order_by("pk").values_list("pk", flat=True)[:NAMES_AT_ONCE]):
                    names.judge_again(upstream, state, index, some)
                _build(index.pk)


def _build(index_id: int) -> None:
    """Build the index at once, without a limit of time. The caller holds its lock."""
    stale = SubdirIndex.objects.filter(pk=index_id, requested_revision__gt=F("built_revision"))
    if index := stale.select_related("channel").first():
        builds.build(index)
