"""Rows of a promotion in its target: artifacts, their documents and attestations, events, and the stale indexes."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import AboutDocument, Artifact, Package, Removal
from channels_app.packages import packages
from publishing.attestations import sidecars
from publishing.labels import artifact_labels, queries
from publishing.labels.edits import Names
from publishing.models import PromotedFile, Promotion
from publishing.models import PromotedFileChange as Change
from publishing.promotion.copying import going_along
from publishing.promotion.plan import PlannedFile, Wanted
from publishing.removal import removal

NamesOf = Mapping[int, Names]  # artifact id → its labels before the promotion
COPIED_COLUMNS = (
    *("subdir", "file_name", "version", "build", "build_number", "revision", "size_bytes", "sha256", "md5"),
    *("index_json", "about_json", "run_exports", "features", "warnings", "files", "file_count", "licences", "recipe"),
    "provenance",
)
ACTIONS = {
    Change.NEW: Action.ARTIFACT_PROMOTE,
    Change.RESTORED: Action.ARTIFACT_RESTORE,
    Change.REPLACED: Action.ARTIFACT_OVERWRITE,
}


def record(promotion: Promotion, wanted: Wanted, changed: Sequence[PlannedFile]) -> None:
    """Write the rows of the target within the caller's transaction, with one index change for each subdir and label."""
    names = {each.artifact.package.name for each in changed}
    locked = packages.packages_for_update(wanted.target, names)
    before = queries.names_of(each.existing for each in changed if each.existing)
    published = [each for each in changed if each.is_published]
    _record_events(promotion, wanted, published)
    for start in range(0, len(published), packages.DOCUMENTS_AT_ONCE):
        _store(promotion, wanted, published[start : start + packages.DOCUMENTS_AT_ONCE], locked, before)
    present = [each.existing for each in changed if each.existing and each.change == Change.LABELED]
    _add_label(promotion, wanted, present, before)
    packages.refresh_each(locked.values())
    _schedule_builds(wanted, changed, before)


def _schedule_builds(wanted: Wanted, changed: Sequence[PlannedFile], before: NamesOf) -> None:
    """Mark the indexes of the labels that the files get or lose as stale."""
    stale: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for each in changed:
        old = before[each.existing.pk] if each.existing and each.is_published else frozenset()
        for label in {wanted.label} | old:
            stale[each.artifact.subdir][label].add(each.artifact.package.name)
    for subdir, found in sorted(stale.items()):
        artifact_labels.schedule_builds(wanted.target, subdir, {label: sorted(names) for label, names in found.items()})


def _add_label(promotion: Promotion, wanted: Wanted, present: Sequence[Artifact], before: NamesOf) -> None:
    """Add the label to files whose bytes the target has already, with an event for each."""
    changes = [(artifact, before[artifact.pk], before[artifact.pk] | {wanted.label}) for artifact in present]
    artifact_labels.store(wanted.target, changes)
    targets = {
        artifact.path: {
            "labels": {"from": sorted(old), "to": sorted(new)},
            "source": wanted.source.name,
            "promotion": promotion.pk,
        }
        for artifact, old, new in changes
    }
    log.record_each(Action.ARTIFACT_LABEL, by=wanted.actor, channel=wanted.target, targets=targets)
    _link_files(promotion, {(artifact.subdir, artifact.file_name): artifact for artifact in present})


def _store(
    promotion: Promotion,
    wanted: Wanted,
    batch: Sequence[PlannedFile],
    locked: Mapping[str, Package],
    before: NamesOf,
) -> None:
    """Store the artifacts of a batch: new rows, and changed ones."""
    sources = Artifact.objects.select_related("about_document", "package").in_bulk([each.artifact.pk for each in batch])
    pairs = [(sources[each.artifact.pk], each.existing or Artifact(channel=wanted.target)) for each in batch]
    for source, artifact in pairs:
        _fill(artifact, source, locked[source.package.name], promotion)
    Artifact.objects.bulk_create(artifact for _, artifact in pairs if artifact.pk is None)
    beside_main = frozenset({wanted.label}) - {MAIN_LABEL}
    artifact_labels.store(
        wanted.target,
        [(artifact, before.get(artifact.pk, frozenset()) - {MAIN_LABEL}, beside_main) for _, artifact in pairs],
    )
    _store_documents(pairs)
    for source, artifact in pairs:
        _store_attestations(promotion, source, artifact)
    _link_files(promotion, {(artifact.subdir, artifact.file_name): artifact for _, artifact in pairs})


def _fill(artifact: Artifact, source: Artifact, package: Package, promotion: Promotion) -> None:
    """Set the columns from those of the source, and save them in an existing row."""
    is_same = artifact.sha256 == source.sha256
    if artifact.pk and not is_same:
        sidecars.remove(artifact)
    values = {name: getattr(source, name) for name in COPIED_COLUMNS} | removal.NOT_REMOVED
    values |= {
        "is_main": promotion.label == MAIN_LABEL,
        "package": package,
        "uploaded_by": promotion.created_by,
        "uploaded_with": promotion.created_with,
    }
    if not is_same:
        values["indexed_timestamp"] = time.time_ns() // 1_000_000
    for name, value in values.items():
        setattr(artifact, name, value)
    if artifact.pk:
        artifact.save(update_fields=values)


def _link_files(promotion: Promotion, artifacts: Mapping[tuple[str, str], Artifact]) -> None:
    """Store which artifacts of the target the files of the promotion became."""
    rows = promotion.files.filter(file_name__in=[file_name for _, file_name in artifacts])
    files = [row for row in rows if (row.subdir, row.file_name) in artifacts]
    for file in files:
        file.artifact = artifacts[file.subdir, file.file_name]
    PromotedFile.objects.bulk_update(files, ["artifact"])


def _store_documents(stored: Sequence[tuple[Artifact, Artifact]]) -> None:
    AboutDocument.objects.filter(artifact__in=[artifact for _, artifact in stored]).delete()
    AboutDocument.objects.bulk_create(
        AboutDocument(artifact=artifact, body=source.about_document.body)
        for source, artifact in stored
        if hasattr(source, "about_document")
    )


def _store_attestations(promotion: Promotion, source: Artifact, artifact: Artifact) -> None:
    """Record the attestations that go along, and publish them after the commit. Their states are stored already."""
    if not artifact.attestations_sha256 and (attestations := going_along(promotion, source)):
        sidecars.record_stored(artifact, attestations)
        transaction.on_commit(partial(sidecars.publish, artifact))


def _record_events(promotion: Promotion, wanted: Wanted, published: Sequence[PlannedFile]) -> None:
    for change, action in ACTIONS.items():
        targets = {}
        for each in (each for each in published if each.change == change):
            artifact, existing = each.artifact, each.existing
            detail: dict[str, Any] = {"sha256": artifact.sha256, "size_bytes": artifact.size_bytes}
            detail |= {"source": wanted.source.name, "promotion": promotion.pk}
            detail |= {"labels": {"to": [wanted.label]}} if wanted.label != MAIN_LABEL else {}
            detail |= removal.removal_detail(existing, Removal.NONE) if existing and existing.removal else {}
            targets[artifact.path] = detail
        log.record_each(action, by=wanted.actor, channel=wanted.target, targets=targets)
