"""Acceptance of a changed record: the hub takes its new SHA-256 for the one by which it judges the file from now on."""

from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.audit import log
from channels_app.models import Channel
from channels_app.packages.queries import no_such_file
from hub.errors import bad_request, conflict
from publishing.archive import identity
from publishing.archive.errors import BadPackage
from publishing.index import builds, upstream_records
from publishing.index.upstream_records import Record
from publishing.models import CachedFile, UpstreamName
from publishing.upstreams import cache, judging, names, upstreams
from publishing.upstreams.upstreams import REASON_MAX_CHARACTERS


@transaction.atomic
def accept(*, actor: Actor, channel: Channel, subdir: str, file_name: str, sha256: str, reason: str) -> UpstreamName:
    """List a record that is held back because its SHA-256 changed to `sha256`, and return the row of its name.

    The hub first saw these bytes now, so a cooldown begins now. A further change is held back again. Raise HubError 400
    without a valid reason, 404 for an unknown record, 409 for one that is not held back or has another SHA-256.
    """
    locked, given = acts.lock_channel(Action.UPSTREAM_ACCEPT, actor, channel), _reason(reason)
    upstream = upstreams.of(locked)
    row, record = _locked_row(locked, subdir, file_name)
    if row.hidden.get(file_name, [""])[0] != judging.CHANGED:
        raise conflict("not_held_back", f"'{file_name}' is not held back: its SHA-256 is as the hub first saw it.")
    stated = record["sha256"]
    if stated != sha256:
        sentence = f"The record of '{file_name}' has the SHA-256 {stated} now; expected {sha256[:64]}."
        raise conflict("other_sha256", f"{sentence} Look at it again.")
    before = row.first_seen[file_name][0]
    row.first_seen[file_name] = [stated, int(timezone.now().timestamp() * 1000)]
    row.save(update_fields=["first_seen"])
    _drop_cached(locked, subdir, file_name)
    names.judge_again(upstream, upstream.subdir_states.filter(subdir=subdir).first(), row.index, [row.pk])
    builds.schedule_build(locked, subdir, [row.name])
    detail = {"accepted_sha256": {"from": before, "to": stated}, "reason": given}
    log.record(Action.UPSTREAM_ACCEPT, by=actor, channel=locked, target=f"{subdir}/{file_name}", detail=detail)
    row.refresh_from_db()
    return row


def _reason(text: str) -> str:
    reason = text.strip()
    if not 0 < len(reason) <= REASON_MAX_CHARACTERS or not reason.isprintable():
        raise bad_request("bad_reason", f"The reason is not valid; expected 1 to {REASON_MAX_CHARACTERS} characters.")
    return reason


def _locked_row(channel: Channel, subdir: str, file_name: str) -> tuple[UpstreamName, Record]:
    """Return the row of the file's name, locked against polls, and the file's record. Raise HubError 404."""
    try:
        name = identity.parse_file_name(file_name).name
    except BadPackage:
        raise no_such_file(channel, subdir[:32], file_name[:64]) from None
    rows = UpstreamName.objects.select_for_update(of=("self",)).select_related("index__channel")
    row = rows.filter(index__channel=channel, index__subdir=subdir, name=name).first()
    record = upstream_records.unpack(row.records).records.get(file_name) if row else None
    if row is None or record is None:
        raise no_such_file(channel, subdir, file_name)
    return row, record


def _drop_cached(channel: Channel, subdir: str, file_name: str) -> None:
    """Remove the package and its sidecars from the cache: they belong to the old SHA-256."""
    of_package = Q(file_name=file_name) | Q(file_name__startswith=f"{file_name}.sigs.")
    cached = CachedFile.objects.filter(of_package, channel=channel, subdir=subdir)
    for file in list(cached):
        file.delete()
        # Nobody is served a file without a row. Verification removes it if the store fails.
        remove = partial(cache.remove_unrecorded, channel, subdir, file.file_name)
        transaction.on_commit(remove, robust=True)
