"""Reads of labels."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Exists, F, Max, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Label, Removal
from channels_app.packages.queries import LISTED, LISTED_IN_MAIN, labeled, version_key
from hub.errors import HubError, not_found
from publishing.models import SubdirIndex

# The rows that give files labels other than main.
Labeled = Label.artifacts.through


def of_channel(channel: Channel) -> QuerySet[Label]:
    """Select the labels of the channel, without `main`, which each channel has."""
    return Label.objects.filter(channel=channel)


def with_counts(channel: Channel) -> QuerySet[Label]:
    """Return the labels with `artifact_count` and `size_bytes` of the files in their indexes."""
    listed = {"artifact__removal": Removal.NONE, "artifact__quarantine_reason": ""}
    files = Labeled.objects.filter(label=OuterRef("pk"), **listed).order_by().values("label")
    count, size = files.values(total=Count("pk")), files.values(total=Sum("artifact__size_bytes"))
    # Subqueries count the labels of one page alone.
    found = of_channel(channel).select_related("channel", "created_by").defer("channel__logo").order_by("name")
    return found.annotate(artifact_count=Coalesce(Subquery(count), 0), size_bytes=Coalesce(Subquery(size), 0))


def counted_label(channel: Channel, name: str) -> Label:
    """Return one label with the counts. Raise HubError 404 if there is none."""
    found = with_counts(channel).filter(name=name).first()
    if found is None:
        raise no_such_label(channel, name)
    return found


def main_counts(channel: Channel) -> dict[str, int]:
    """Return the same counts of the channel's own index."""
    counts = {"artifact_count": Count("pk"), "size_bytes": Sum("size_bytes", default=0)}
    return Artifact.objects.filter(LISTED_IN_MAIN, channel=channel).aggregate(**counts)


def packages_with(label: Label) -> QuerySet[Artifact, Any]:
    """Return `name`, `artifact_count`, `size_bytes` and `updated_at_ms` of each package in the label's index."""
    counts = {
        "artifact_count": Count("pk"),
        "size_bytes": Sum("size_bytes"),
        "updated_at_ms": Max("indexed_timestamp"),
    }
    files = Artifact.objects.filter(LISTED, labels=label)
    return files.values(name=F("package__name")).annotate(**counts).order_by("name")


def newest_versions(label: Label, names: Iterable[str]) -> dict[str, str]:
    """Return package → its newest version in the label's index."""
    files = Artifact.objects.filter(LISTED, labels=label, package__name__in=names)
    versions: dict[str, set[str]] = {}
    for name, version in files.order_by().values_list("package__name", "version").distinct():
        versions.setdefault(name, set()).add(version)
    return {name: max(found, key=version_key) for name, found in versions.items()}


def index_states(label: Label) -> dict[str, Any]:
    """Return the `indexes` of the label by subdir, and `is_stale`."""
    indexes = list(SubdirIndex.objects.filter(channel=label.channel_id, label=label.name).order_by("subdir"))
    return {"indexes": indexes, "is_stale": not all(index.is_current for index in indexes)}


def label_of(channel: Channel, name: str) -> Label:
    """Return the label of the channel. Raise HubError 404 if there is none; `main` has no row."""
    found = of_channel(channel).filter(name=name).first()
    if found is None:
        raise no_such_label(channel, name)
    return found


def no_such_label(channel: Channel, name: str) -> HubError:
    return not_found("no_such_label", f"'{channel}' has no label '{name}'.")


def names_of(artifacts: Iterable[Artifact]) -> dict[int, frozenset[str]]:
    """Return artifact id → its labels, by one query."""
    found: dict[int, set[str]] = {artifact.pk: {MAIN_LABEL} if artifact.is_main else set() for artifact in artifacts}
    for pk, name in Labeled.objects.filter(artifact__in=found).values_list("artifact", "label__name"):
        found[pk].add(name)
    return {pk: frozenset(names) for pk, names in found.items()}


def with_label(channel: Channel, name: str) -> QuerySet[Artifact]:
    """Select the files of the channel that have the label. Removed ones count."""
    return Artifact.objects.filter(labeled(channel, name), channel=channel)


def with_only(label: Label) -> QuerySet[Artifact]:
    """Select the files that have no other label."""
    others = Labeled.objects.filter(artifact=OuterRef("pk")).exclude(label=label)
    return Artifact.objects.filter(labels=label, is_main=False).filter(~Exists(others))
