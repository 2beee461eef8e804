"""Changes of the labels of a channel and of its files. They move no bytes: each ends in the indexes alone.

Locks are taken in this order, as uploads do: the channel, artifacts, packages, labels, indexes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_name, check_still_allowed, lock_channel
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Label, Removal
from channels_app.packages import packages
from channels_app.packages.queries import HEAVY
from hub.errors import conflict, unprocessable
from publishing.index import builds
from publishing.labels import edits, queries
from publishing.labels.edits import Edit, Names
from publishing.labels.names import checked
from publishing.labels.queries import Labeled
from publishing.removal import removal

LABELS_MAX = 1000
LASTS_MAX = timedelta(days=366)
# An empty index of this subdir makes the folder of a label a valid channel.
FIRST_SUBDIR = "noarch"

Labels = Sequence[tuple[Artifact, Names]]  # files with their labels
Changes = Sequence[tuple[Artifact, Names, Names]]  # the file, its labels before and after


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of a dry run, and the fingerprint of all selected files."""

    changes: Changes
    fingerprint: str


@transaction.atomic
def create(*, actor: Actor, channel: Channel, name: str, expires_at: datetime | None = None) -> Label:
    """Create a label without files. Raise HubError 409 if it exists or the channel has 1,000, and 422 for a bad one."""
    locked = lock_channel(actor, channel, Permission.UPLOAD)
    if checked(name) == MAIN_LABEL or queries.of_channel(locked).filter(name=name).exists():
        raise conflict("label_exists", f"'{channel}' has the label '{name}' already.")
    _check_expiry(expires_at)
    _create(actor, locked, [name], expires_at)
    _schedule(locked, (), created=[name])
    return queries.label_of(locked, name)


@transaction.atomic
def ensure(*, actor: Actor, channel: Channel, names: Collection[str]) -> None:
    """Create those of the labels that don't exist. Raise HubError 409 if the channel would have more than 1,000."""
    missing = _missing(channel, names)
    if missing:
        locked = lock_channel(actor, channel, Permission.UPLOAD)
        created = _missing(locked, missing)
        _create(actor, locked, created)
        _schedule(locked, (), created=created)


@transaction.atomic
def change_expiry(*, actor: Actor, channel: Channel, name: str, expires_at: datetime | None) -> Label:
    """Set when the label is deleted, with the files that have no other; None: never."""
    locked = lock_channel(actor, channel, Permission.DELETE)
    label = queries.label_of(locked, name)
    _check_packages(actor, locked, name)
    _check_expiry(expires_at)
    if label.expires_at != expires_at:
        change = {"from": _moment(label.expires_at), "to": _moment(expires_at)}
        label.expires_at = expires_at
        label.save(update_fields=["expires_at"])
        log.record(Action.LABEL_CHANGE, by=actor, channel=locked, target=name, detail={"changes": {"expires": change}})
    return label


@transaction.atomic
def delete(*, actor: Actor, channel: Channel, name: str, with_files: bool = False) -> None:
    """Delete the label: its files lose it. Raise HubError 409 if some have no other label.

    `with_files`: delete these files, which can be restored in the grace period.
    """
    locked = lock_channel(actor, channel, Permission.DELETE)
    label = queries.label_of(locked, name)
    _check_packages(actor, locked, name)
    sole = queries.with_only(label).exclude(removal=Removal.DELETED)
    locked_files = _lock_files(label, sole) if with_files else set()
    _lock(label)
    files = set(sole.values_list("pk", flat=True))
    if left := len(files - locked_files):
        raise conflict(
            "last_label",
            f"{left} file{' has' if left == 1 else 's have'} no other label than '{name}'. "
            "Give them another label first, or delete them with it.",
        )
    _delete(label, Action.LABEL_DELETE, actor)
    if files:
        selection = Artifact.objects.filter(pk__in=files).select_related("package").defer(*HEAVY)
        reason = f"With the label '{name}'"
        removal.change_selection(actor=actor, channel=locked, selection=selection, change=removal.DELETE, reason=reason)


def change_selection(
    *,
    actor: Actor,
    channel: Channel,
    selection: QuerySet[Artifact],
    add: Collection[str] = (),
    remove: Collection[str] = (),
) -> list[Artifact]:
    """Add labels to the files of `selection`, and remove others; see edit_selection()."""
    edit = edits.change(add, remove)
    return [file for file, _, _ in edit_selection(actor=actor, channel=channel, selection=selection, edit=edit)]


@transaction.atomic
def edit_selection(
    *, actor: Actor, channel: Channel, selection: QuerySet[Artifact], edit: Edit, expected: str = ""
) -> Changes:
    """Edit the labels of the files of `selection`, with one index change for each label and subdir.

    Labels that don't exist are created. Return the changes. Raise HubError 409 if a file would have no label, or
    if `expected` is the fingerprint of another state. Raise 403 if the actor may not do that, and 422 for more than
    500 files.
    """
    locked = lock_channel(actor, channel, edit.permission)
    files = labeled_files(selection.select_for_update(of=("self",), no_key=True))
    if expected and fingerprint(files) != expected:
        raise conflict("selection_changed", "The selected files have changed since the preview; nothing was done.")
    changes = _changes(files, edit)
    _check(actor, locked, changes)
    if changes:
        created = _missing(locked, edit.new)
        _create(actor, locked, created)
        _apply(actor, locked, changes, created)
    return changes


def planned(*, actor: Actor, channel: Channel, selection: QuerySet[Artifact], edit: Edit) -> Plan:
    """Return the changes of edit_selection() without applying them. Raise its errors."""
    check_still_allowed(actor, channel, edit.permission)
    files = labeled_files(selection)
    changes = _changes(files, edit)
    _check(actor, channel, changes)
    return Plan(changes, fingerprint(files))


def fingerprint(files: Labels) -> str:
    """Return a hash of the files with their bytes and labels, by which a preview recognises a later change."""
    lines = [f"{file.path} {file.sha256} {','.join(sorted(names))}" for file, names in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def labeled_files(selection: QuerySet[Artifact]) -> Labels:
    """Return the files of `selection` with their labels. Raise HubError 422 for more than 500."""
    found = selection.select_related("package").order_by("pk").defer(*HEAVY)
    artifacts = list(found[: removal.SELECTION_MAX + 1])
    removal.check_selection_size(artifacts)
    labels = queries.names_of(artifacts)
    return [(artifact, labels[artifact.pk]) for artifact in artifacts]


def assign(artifact: Artifact, names: Collection[str], *, is_new: bool) -> Names:
    """Give an uploaded file exactly these labels beside `main`, in the transaction of the upload.

    Return the labels whose indexes change. Raise HubError 409 if one was deleted meanwhile.
    """
    wanted = frozenset(names) - {MAIN_LABEL}
    before = frozenset[str]() if is_new else frozenset(artifact.labels.values_list("name", flat=True))
    store(artifact.channel, [(artifact, before, wanted)])
    return before | wanted


def delete_expired() -> None:
    """Delete the labels that have expired, and the files that have no other label."""
    expired = Label.objects.filter(expires_at__lte=timezone.now(), channel__deleted_at=None)
    for label in expired.select_related("channel").order_by("pk"):
        while _delete_sole_files(label):
            pass
        _expire(label)


@transaction.atomic
def _delete_sole_files(label: Label) -> int:
    """Delete some of the files that have only this label, and return their number. They can be restored for a while."""
    if not _is_expired(label):
        return 0
    found = queries.with_only(label).exclude(removal=Removal.DELETED).order_by("pk")[: removal.SELECTION_MAX]
    wanted = Artifact.objects.filter(pk__in=list(found.values_list("pk", flat=True))).order_by("pk")
    locked = wanted.select_for_update(of=("self",), no_key=True).select_related("package").defer(*HEAVY)
    artifacts = [artifact for artifact in locked if artifact.removal != Removal.DELETED]
    if artifacts:
        reason = f"Its label '{label.name}' expired"
        change = removal.OwnChange(removal.DELETE, artifacts, reason)
        removal.change_for_hub(channel=label.channel, changes=[change])
    return len(artifacts)


@transaction.atomic
def _expire(label: Label) -> None:
    """Delete the label unless a file came meanwhile that has no other: the next run deletes both."""
    if _is_expired(label) and _lock(label) and not _sole_files_exist(label):
        _delete(label, Action.LABEL_EXPIRE)


def _is_expired(label: Label) -> bool:
    """Tell whether the label still exists and is expired. Locks the channel, so that neither changes."""
    Channel.objects.select_for_update(no_key=True).filter(pk=label.channel_id).first()
    return Label.objects.filter(pk=label.pk, expires_at__lte=timezone.now()).exists()


def _sole_files_exist(label: Label) -> bool:
    return queries.with_only(label).exclude(removal=Removal.DELETED).exists()


def _changes(files: Labels, edit: Edit) -> Changes:
    all_changes = ((artifact, before, edit.after(before)) for artifact, before in files)
    return [(artifact, old, new) for artifact, old, new in all_changes if old != new]


def _apply(actor: Actor, channel: Channel, changes: Changes, created: Sequence[str]) -> None:
    """Store the changes of locked files with an event for each, and mark the indexes stale."""
    rows = packages.packages_for_update(channel, {artifact.package.name for artifact, _, _ in changes})
    store(channel, changes)
    packages.refresh_each(rows.values())
    details = {artifact.path: {"labels": {"from": sorted(old), "to": sorted(new)}} for artifact, old, new in changes}
    log.record_each(Action.ARTIFACT_LABEL, by=actor, channel=channel, targets=details)
    _schedule(channel, changes, created=created)


def _check(actor: Actor, channel: Channel, changes: Changes) -> None:
    if any(old - new for _, old, new in changes):
        check_still_allowed(actor, channel, Permission.DELETE)
    for name in sorted({artifact.package.name for artifact, _, _ in changes}):
        check_name(actor, channel, name, "change labels of the package '{}' in")
    for artifact, old, new in changes:
        if not new:
            raise conflict(
                "last_label",
                f"{artifact.path} has no other label than {_listed(old)}. Give it another label first, or yank or "
                "delete it.",
            )


def store(channel: Channel, changes: Changes) -> None:
    """Store the labels of locked files. Raise HubError 409 if a label was deleted meanwhile."""
    wanted = {name for _, _, new in changes for name in new} - {MAIN_LABEL}
    rows = queries.of_channel(channel).filter(name__in=wanted).order_by("name").select_for_update(no_key=True)
    labels = {label.name: label for label in rows} if wanted else {}
    if gone := wanted - labels.keys():
        raise conflict("label_deleted", f"The label '{min(gone)}' was deleted meanwhile; try again.")
    for name, artifacts in _by_label((artifact, old - new) for artifact, old, new in changes).items():
        if name != MAIN_LABEL:
            Labeled.objects.filter(label__name=name, artifact__in=artifacts).delete()
    Labeled.objects.bulk_create(
        Labeled(label=labels[name], artifact=artifact)
        for artifact, old, new in changes
        for name in sorted(new - old - {MAIN_LABEL})
    )
    for is_main in (True, False):
        moved = [a for a, old, new in changes if (MAIN_LABEL in new) == is_main != (MAIN_LABEL in old)]
        Artifact.objects.filter(pk__in=[artifact.pk for artifact in moved]).update(is_main=is_main)
        for artifact in moved:
            artifact.is_main = is_main


def _schedule(channel: Channel, changes: Changes, *, created: Sequence[str]) -> None:
    """Mark the indexes of the labels that the files got or lost as stale, and an empty one of each created label.

    The indexes are locked last, and in the order of their subdirs, as uploads and removals do.
    """
    removes = any(old - new for _, old, new in changes)
    for subdir in sorted({artifact.subdir for artifact, _, _ in changes} | ({FIRST_SUBDIR} if created else set())):
        within = [(artifact, old ^ new) for artifact, old, new in changes if artifact.subdir == subdir]
        by_label: dict[str, list[str]] = {name: [] for name in created if subdir == FIRST_SUBDIR}
        for name, found in _by_label(within).items():
            by_label[name] = sorted({artifact.package.name for artifact in found})
        schedule_builds(channel, subdir, by_label, removes=removes)


def schedule_builds(
    channel: Channel, subdir: str, names: Mapping[str, Sequence[str]], *, removes: bool = False
) -> None:
    """Mark the indexes of these labels stale, of `main` too. `names`: label → names that change in its index."""
    others = {label: found for label, found in names.items() if label != MAIN_LABEL}
    if MAIN_LABEL in names:
        builds.schedule_build(channel, subdir, names[MAIN_LABEL], removes=removes, labels=others)
    elif others:
        builds.schedule_label_builds(channel, subdir, others, removes=removes)


def _by_label(found: Any) -> dict[str, list[Artifact]]:
    """Return label → artifacts, from pairs of an artifact and labels."""
    result: dict[str, list[Artifact]] = defaultdict(list)
    for artifact, names in found:
        for name in names:
            result[name].append(artifact)
    return result


def _missing(channel: Channel, names: Collection[str]) -> list[str]:
    wanted = set(names) - {MAIN_LABEL}
    known = queries.of_channel(channel).filter(name__in=wanted).values_list("name", flat=True) if wanted else ()
    return sorted(wanted - set(known))


def _create(actor: Actor, channel: Channel, names: Sequence[str], expires_at: datetime | None = None) -> None:
    """Create labels of the locked channel, with an event for each. The caller schedules their indexes, as its last."""
    if not names:
        return
    if queries.of_channel(channel).count() + len(names) > LABELS_MAX:
        raise conflict("labels_limit", f"'{channel}' can have {LABELS_MAX:,} labels at most. Delete one.")
    Label.objects.bulk_create(
        Label(channel=channel, name=name, created_by=actor.user, expires_at=expires_at) for name in names
    )
    fields = {"expires": _moment(expires_at)} if expires_at else {}
    log.record_each(
        Action.LABEL_CREATE, by=actor, channel=channel, targets={name: {"fields": fields} for name in names}
    )


def _delete(label: Label, action: Action, actor: Actor | None = None) -> None:
    """Delete the locked label with an event. Its indexes get empty, and are removed by remove_old_indexes()."""
    count = Labeled.objects.filter(label=label).count()
    by = {"by": actor} if actor else {}
    log.record(action, channel=label.channel, target=label.name, detail={"fields": {"files": str(count)}}, **by)
    # In this order, as in uploads: rows of labels, then indexes.
    label.delete()
    builds.empty_label(label.channel, label.name)


def _check_packages(actor: Actor, channel: Channel, name: str) -> None:
    """Raise HubError 403 if the key is limited to other package names than those of the files with the label."""
    for package in queries.with_label(channel, name).values_list("package__name", flat=True).distinct():
        check_name(actor, channel, package, f"remove the label '{name}' from the package '{{}}' in")


def _lock_files(label: Label, files: QuerySet[Artifact]) -> set[int]:
    """Lock the files and their packages, before the label. Return their ids. Raise HubError 422 for more than 500."""
    ordered = files.select_related("package").defer(*HEAVY).order_by("pk")
    found = list(ordered.select_for_update(of=("self",), no_key=True)[: removal.SELECTION_MAX + 1])
    if len(found) > removal.SELECTION_MAX:
        raise unprocessable(
            "selection_too_large",
            f"More than {removal.SELECTION_MAX} files have no other label than '{label.name}'. Set an end of the label "
            "instead: then the hub deletes it with all of them.",
        )
    packages.packages_for_update(label.channel, {artifact.package.name for artifact in found})
    return {artifact.pk for artifact in found}


def _lock(label: Label) -> bool:
    """Lock the label's row: no upload can get it any more. Return whether it still exists."""
    return Label.objects.select_for_update().filter(pk=label.pk).first() is not None


def _check_expiry(expires_at: datetime | None) -> None:
    now = timezone.now()
    if expires_at is not None and not now < expires_at <= now + LASTS_MAX:
        raise unprocessable("bad_expiry", "Expected as expiry a time within the next year.")


def _moment(at: datetime | None) -> str:
    return at.isoformat(sep=" ", timespec="minutes") if at else "never"


def _listed(names: Names) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
