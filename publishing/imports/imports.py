"""Imports of a channel: start, stop and resume one, and preview its files. Workers run it; see runs.py.

The key of the source is encrypted in the row while the import runs, and deleted as soon as it does not.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import BoundedSemaphore

from cryptography.fernet import InvalidToken
from django.db import transaction
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import (
    ANONYMOUS,
    Actor,
    Permission,
    check_own_packages,
    check_still_allowed,
    lock_channel,
)
from channels_app.audit import log
from channels_app.identifiers import is_subdir
from channels_app.models import Channel
from channels_app.quotas import quotas
from hub import encryption
from hub.celery import send
from hub.errors import conflict, forbidden, unprocessable
from hub.http.request_body import slot_of
from hub.sizes import MIB
from publishing.attestations import acceptance
from publishing.imports import queries
from publishing.imports.listing import listing_of
from publishing.imports.sources import ChannelSource, Limits, SourceError, check_url
from publishing.labels import labels, names
from publishing.models import Import, ImportState, SourceKey
from publishing.record_filters import SPECS_MAX, BadSpecError, Filters, check_newest_versions

PURPOSE = b"channelhub: imports"
TASK = "publishing.tasks.continue_imports"
KEY_MAX_CHARACTERS = 2000
SUBDIRS_MAX = 50
# A preview answers a request: of the threads of a process, one may read an index, for this time and of this size.
PREVIEWS = BoundedSemaphore(1)
PREVIEW_S, PREVIEW_BYTES, PREVIEW_TEXT_BYTES = 60.0, 64 * MIB, 512 * MIB


@dataclass(frozen=True, slots=True)
class Wanted:
    """The source of an import, its key, its filters, and the label that its files get.

    `newest_versions`: of each name and subdir; None: all. `label`: "": new files get `main`.
    """

    source: str
    key_kind: str = SourceKey.NONE
    key: str = ""
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    subdirs: Sequence[str] = ()
    newest_versions: int | None = None
    label: str = ""

    def filters(self) -> Filters:
        """Return the filters. Raise HubError 422."""
        if max(len(self.include), len(self.exclude)) > SPECS_MAX or len(self.subdirs) > SUBDIRS_MAX:
            raise unprocessable("bad_spec", f"Expected at most {SPECS_MAX} specs and {SUBDIRS_MAX} subdirs.")
        if wrong := [subdir for subdir in self.subdirs if not is_subdir(subdir)]:
            raise unprocessable("bad_subdir", f"Found the subdir '{wrong[0][:32]}'; expected one like linux-64.")
        try:
            check_newest_versions(self.newest_versions)
            return Filters.of(self.include, self.exclude)
        except BadSpecError as error:
            raise unprocessable("bad_spec", str(error)) from None


@dataclass(frozen=True, slots=True)
class Preview:
    """The files that an import would take, with those that the channel has. `subdirs`: name → files and bytes."""

    files: int
    size_bytes: int
    subdirs: dict[str, tuple[int, int]]


def operators_import(channel: Channel, wanted: Wanted) -> Import:
    """Create the import of a command, or begin again one from the same source that did not end well.

    Raise HubError 409, 413 or 422.
    """
    wanted.filters()
    _check_label(channel, wanted)
    with transaction.atomic():
        locked = Channel.objects.select_for_update(no_key=True).get(pk=channel.pk)
        unfinished = locked.imports.filter(is_by_operator=True, source=wanted.source).exclude(state=ImportState.DONE)
        job = unfinished.order_by("-pk").first()
        if job is None:
            return create(actor=ANONYMOUS, channel=locked, wanted=wanted, is_by_operator=True)
        if job.state != ImportState.RUNNING:
            _check_free(locked)
        begin_again(job)
        job.include, job.exclude, job.subdirs = list(wanted.include), list(wanted.exclude), list(wanted.subdirs)
        job.newest_versions, job.label = wanted.newest_versions, wanted.label
        job.save()
    return job


def start(*, actor: Actor, channel: Channel, wanted: Wanted) -> Import:
    """Start an import, which workers run. Raise HubError 403, 409, 413 or 422."""
    checked = _checked(channel, wanted)
    with transaction.atomic():
        locked = lock_channel(actor, channel, Permission.UPLOAD)
        return create(actor=actor, channel=locked, wanted=checked)


def create(*, actor: Actor, channel: Channel, wanted: Wanted, is_by_operator: bool = False) -> Import:
    """Create the row of an import, in the caller's transaction. Raise HubError 403, 409 or 413."""
    if is_by_operator:
        check_own_packages(channel)
    else:
        check_may_import(actor, channel)
    _check_free(channel)
    quotas.check_room(channel, 1)
    job = Import.objects.create(
        channel=channel,
        source=wanted.source,
        is_by_operator=is_by_operator,
        key_kind=wanted.key_kind,
        encrypted_key=encryption.encrypt(wanted.key, purpose=PURPOSE) if wanted.key else "",
        include=list(wanted.include),
        exclude=list(wanted.exclude),
        subdirs=list(wanted.subdirs),
        newest_versions=wanted.newest_versions,
        label=wanted.label,
        created_by=actor.user,
        created_with=actor.key,
    )
    log.record(Action.IMPORT_START, by=actor, channel=channel, target=wanted.source, detail={"import": job.pk})
    if not is_by_operator:
        transaction.on_commit(partial(send, TASK))
    return job


def check_may_import(actor: Actor, channel: Channel) -> None:
    """Raise HubError 403 or 409 if the actor may not upload to the channel, or no one may."""
    check_still_allowed(actor, channel, Permission.UPLOAD)
    if actor.token or actor.short_lived_token:
        raise forbidden(
            "person_needed", "An import outlasts this token. Start it as a signed-in user, or with an API key."
        )
    check_own_packages(channel)
    if channel.only_trusted_publishers:
        raise forbidden(
            "trusted_publishers_only",
            f"Only trusted publishers may upload to '{channel}'. An operator can import by `manage.py importchannel`.",
        )


def stop(*, actor: Actor, channel: Channel, import_id: int) -> Import:
    """Stop a running import. Files that it has recorded stay. Raise HubError 404 or 409."""
    with transaction.atomic():
        job = _locked(actor, channel, import_id)
        if job.state != ImportState.RUNNING:
            raise conflict("not_running", f"The import is {job.get_state_display()} and does not run.")
        _end(job, ImportState.STOPPED, by=actor)
    return job


def resume(*, actor: Actor, channel: Channel, import_id: int, key: str = "") -> Import:
    """Run an ended import again, for new files and for refused ones. It needs its key again. Raise HubError."""
    with transaction.atomic():
        job = _locked(actor, channel, import_id)
        if job.state == ImportState.RUNNING:
            raise conflict("import_running", "The import is running.")
        if job.is_by_operator:
            raise conflict("import_by_operator", "An operator runs this import, by `manage.py importchannel`.")
        _check_key(job.key_kind, key)
        check_may_import(actor, job.channel)
        _check_free(job.channel)
        begin_again(job)
        job.encrypted_key = encryption.encrypt(key, purpose=PURPOSE) if key else ""
        job.created_by, job.created_with = actor.user, actor.key
        job.save()
        log.record(Action.IMPORT_START, by=actor, channel=job.channel, target=job.source, detail={"import": job.pk})
        transaction.on_commit(partial(send, TASK))
    return job


def begin_again(job: Import) -> None:
    """Set the state of a new run in the row, and forget the refusals. The caller saves the row."""
    job.refused.all().delete()
    job.state, job.failure, job.ended_at, job.worked_at = ImportState.RUNNING, "", None, None


def preview(*, actor: Actor, channel: Channel, wanted: Wanted) -> Preview:
    """Return the records of the source that the filters keep. Raise HubError 422 if the source fails."""
    check_may_import(actor, channel)
    checked = _checked(channel, wanted)
    try:
        limits = Limits(PREVIEW_BYTES, PREVIEW_TEXT_BYTES, time.monotonic() + PREVIEW_S)
        source = ChannelSource(checked.source, checked.key_kind, checked.key, limits)
        filters, newest = checked.filters(), checked.newest_versions
        with slot_of(PREVIEWS, "previews"), listing_of(source, filters, checked.subdirs, newest) as listing:
            return Preview(*listing.totals(), listing.per_subdir())
    except SourceError as error:
        raise unprocessable("source_failed", str(error)) from None


def source_of(job: Import) -> ChannelSource:
    """Return the source of a running import. Raise HubError 422 if its key can't be read."""
    try:
        key = encryption.decrypt(job.encrypted_key, purpose=PURPOSE) if job.encrypted_key else ""
    except InvalidToken:
        raise unprocessable(
            "key_unreadable", "The key can't be read after a change of SECRET_KEY. State it again."
        ) from None
    return ChannelSource(job.source, job.key_kind, key)


def end(job: Import, state: ImportState, failure: str = "") -> None:
    """End a running import with an event. Another process may have ended it before."""
    with transaction.atomic():
        job.refresh_from_db(from_queryset=Import.objects.select_for_update(no_key=True))
        if job.state == ImportState.RUNNING:
            _end(job, state, failure=failure)


def check_attested(channel: Channel, note: str) -> None:
    """Raise HubError 422 if the channel requires an attestation, with the note why that of the file was left out."""
    if channel.require_attestation and note:
        raise unprocessable("attestation_missing", note)
    acceptance.check_missing(channel)


def _end(job: Import, state: ImportState, *, failure: str = "", by: Actor = ANONYMOUS) -> None:
    job.state, job.failure, job.encrypted_key, job.ended_at = state, failure[:500], "", timezone.now()
    job.save(update_fields=["state", "failure", "encrypted_key", "ended_at"])
    quotas.mark_outdated(job.channel)
    detail = {"import": job.pk, "state": str(state), "files": job.imported_files, "refused": job.refused.count()}
    log.record(Action.IMPORT_END, by=by, channel=job.channel, target=job.source, detail=detail)


def _locked(actor: Actor, channel: Channel, import_id: int) -> Import:
    locked = lock_channel(actor, channel, Permission.UPLOAD)
    found = locked.imports.select_for_update(no_key=True, of=("self",)).filter(pk=import_id).first()
    return found or queries.import_of(locked, import_id)


def _checked(channel: Channel, wanted: Wanted) -> Wanted:
    """Return the values in the form that is stored. Raise HubError 409 or 422."""
    wanted.filters()
    _check_label(channel, wanted)
    _check_key(wanted.key_kind, wanted.key)
    return replace(wanted, source=check_url(wanted.source), subdirs=sorted(set(wanted.subdirs)))


def _check_label(channel: Channel, wanted: Wanted) -> None:
    """Raise HubError 422 for a bad label, and 409 if the channel can have no further one."""
    if wanted.label:
        labels.check_room(channel, [names.checked(wanted.label)])


def _check_key(key_kind: str, key: str) -> None:
    if key_kind not in SourceKey.values:
        raise unprocessable("bad_key_kind", f"Expected the kind of key: {', '.join(SourceKey.values)}.")
    is_missing = bool(key) != (key_kind != SourceKey.NONE)
    if is_missing or len(key) > KEY_MAX_CHARACTERS or not key.isascii() or not key.isprintable():
        raise unprocessable(
            "bad_source_key", "Expected a key of printable ASCII characters, and one only if its kind is stated."
        )


def _check_free(channel: Channel) -> None:
    """Raise HubError 409 if an import of the channel runs. The channel is locked."""
    if channel.imports.filter(state=ImportState.RUNNING).exists():
        raise conflict("import_running", f"An import into '{channel}' is running. Wait for it, or stop it.")
