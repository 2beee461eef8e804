"""Labels of files: files get labels and lose them. That moves no bytes; it ends in the indexes alone.

Locks are taken in the order of labels.py.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_name, check_still_allowed, lock_channel
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel
from channels_app.packages import packages
from channels_app.packages.queries import HEAVY
from hub.errors import conflict
from publishing.index import builds
from publishing.labels import edits, labels, queries
from publishing.labels.edits import Edit, Names
from publishing.labels.names import FILE_LABELS_MAX
from publishing.labels.queries import Labeled
from publishing.removal import removal

Labels = Sequence[tuple[Artifact, Names]]  # files with their labels
Changes = Sequence[tuple[Artifact, Names, Names]]  # the file, its labels before and after


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes of a dry run, and the fingerprint of all selected files."""

    changes: Changes
    fingerprint: str


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
    *,
    actor: Actor,
    channel: Channel,
    selection: QuerySet[Artifact],
    edit: Edit,
    expected: str = "",
    is_by_operator: bool = False,
) -> Changes:
    """Edit the labels of the files of `selection`, with one index change for each label and subdir.

    Labels that don't exist are created. Return the changes. Raise HubError 409 if a file would have no label or
    more than 50, or if `expected` is the fingerprint of another state. Raise 403 if the actor may not do that, and 422
    for more than 500 files. `is_by_operator`: a command adds labels, and needs no right.
    """
    locked = labels.locked_by_operator(channel) if is_by_operator else lock_channel(actor, channel, edit.permission)
    files = labeled_files(selection.select_for_update(of=("self",), no_key=True))
    if expected and fingerprint(files) != expected:
        raise conflict("selection_changed", "The selected files have changed since the preview; nothing was done.")
    changes = _changes(files, edit)
    _check(actor, locked, changes)
    if changes:
        created = labels.create_missing(actor, locked, edit.new)
        _apply(actor, locked, changes, created=created)
    return changes


def planned(*, actor: Actor, channel: Channel, selection: QuerySet[Artifact], edit: Edit) -> Plan:
    """Return the changes of edit_selection() without applying them. Raise its errors."""
    check_still_allowed(actor, channel, edit.permission)
    files = labeled_files(selection)
    changes = _changes(files, edit)
    _check(actor, channel, changes)
    if changes:
        labels.check_room(channel, edit.new)
    return Plan(changes, fingerprint(files))


def check_room(artifact: Artifact, before: Names, after: Names) -> None:
    """Raise HubError 409 if the file would get labels beyond the 50 that it can have."""
    if len(after) > FILE_LABELS_MAX and after - before:
        raise conflict(
            "labels_limit", f"{artifact.path} can have {FILE_LABELS_MAX} labels at most. Remove one from the file."
        )


def fingerprint(files: Labels) -> str:
    """Return a hash of the files with their bytes and labels, by which a preview recognises a later change."""
    lines = [f"{file.path} {file.sha256} {','.join(sorted(names))}" for file, names in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def labeled_files(selection: QuerySet[Artifact]) -> Labels:
    """Return the files of `selection` with their labels. Raise HubError 422 for more than 500."""
    found = selection.select_related("package").order_by("pk").defer(*HEAVY)
    artifacts = list(found[: removal.SELECTION_MAX + 1])
    removal.check_selection_size(artifacts)
    names = queries.names_of(artifacts)
    return [(artifact, names[artifact.pk]) for artifact in artifacts]


def assign(artifact: Artifact, names: Collection[str], *, is_new: bool) -> Names:
    """Give an uploaded file exactly these labels beside `main`, in the transaction of the upload.

    Return the labels whose indexes change. Raise HubError 409 if one was deleted meanwhile.
    """
    wanted = frozenset(names) - {MAIN_LABEL}
    before = frozenset[str]() if is_new else frozenset(artifact.labels.values_list("name", flat=True))
    store(artifact.channel, [(artifact, before, wanted)])
    return before | wanted


def store(channel: Channel, changes: Changes) -> None:
    """Store the labels of locked files. Raise HubError 409 if a label was deleted meanwhile."""
    wanted = {name for _, _, new in changes for name in new} - {MAIN_LABEL}
    rows = queries.of_channel(channel).filter(name__in=wanted).order_by("name").select_for_update(no_key=True)
    known = {label.name: label for label in rows} if wanted else {}
    if gone := wanted - known.keys():
        raise conflict("label_deleted", f"The label '{min(gone)}' was deleted meanwhile; try again.")
    for name, artifacts in _by_label((artifact, old - new) for artifact, old, new in changes).items():
        if name != MAIN_LABEL:
            Labeled.objects.filter(label__name=name, artifact__in=artifacts).delete()
    Labeled.objects.bulk_create(
        Labeled(label=known[name], artifact=artifact)
        for artifact, old, new in changes
        for name in sorted(new - old - {MAIN_LABEL})
    )
    for is_main in (True, False):
        moved = [a for a, old, new in changes if (MAIN_LABEL in new) == is_main != (MAIN_LABEL in old)]
        Artifact.objects.filter(pk__in=[artifact.pk for artifact in moved]).update(is_main=is_main)
        for artifact in moved:
            artifact.is_main = is_main


def schedule_builds(
    channel: Channel, subdir: str, names: Mapping[str, Sequence[str]], *, removes: bool = False
) -> None:
    """Mark the indexes of these labels stale, of `main` too. `names`: label → names that change in its index."""
    others = {label: found for label, found in names.items() if label != MAIN_LABEL}
    if MAIN_LABEL in names:
        builds.schedule_build(channel, subdir, names[MAIN_LABEL], removes=removes, labels=others)
    elif others:
        builds.schedule_label_builds(channel, subdir, others, removes=removes)


def _changes(files: Labels, edit: Edit) -> Changes:
    all_changes = ((artifact, before, edit.after(before)) for artifact, before in files)
    return [(artifact, old, new) for artifact, old, new in all_changes if old != new]


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
        check_room(artifact, old, new)


def _apply(actor: Actor, channel: Channel, changes: Changes, *, created: Sequence[str]) -> None:
    """Store the changes of locked files with an event for each, and mark the indexes stale."""
    rows = packages.packages_for_update(channel, {artifact.package.name for artifact, _, _ in changes})
    store(channel, changes)
    packages.refresh_each(rows.values())
    details = {artifact.path: {"labels": {"from": sorted(old), "to": sorted(new)}} for artifact, old, new in changes}
    log.record_each(Action.ARTIFACT_LABEL, by=actor, channel=channel, targets=details)
    _schedule(channel, changes, created=created)


def _schedule(channel: Channel, changes: Changes, *, created: Sequence[str]) -> None:
    """Mark the indexes of the labels that the files got or lost as stale, and an empty one of each created label.

    The indexes are locked last, and in the order of their subdirs, as uploads and removals do.
    """
    removes = any(old - new for _, old, new in changes)
    subdirs = {artifact.subdir for artifact, _, _ in changes} | ({labels.FIRST_SUBDIR} if created else set())
    for subdir in sorted(subdirs):
        within = [(artifact, old ^ new) for artifact, old, new in changes if artifact.subdir == subdir]
        by_label: dict[str, list[str]] = {name: [] for name in created if subdir == labels.FIRST_SUBDIR}
        for name, found in _by_label(within).items():
            by_label[name] = sorted({artifact.package.name for artifact in found})
        schedule_builds(channel, subdir, by_label, removes=removes)


def _by_label(found: Any) -> dict[str, list[Artifact]]:
    """Return label → artifacts, from pairs of an artifact and labels."""
    result: dict[str, list[Artifact]] = defaultdict(list)
    for artifact, names in found:
        for name in names:
            result[name].append(artifact)
    return result


def _listed(names: Names) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
