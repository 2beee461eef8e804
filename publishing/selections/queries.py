"""Reads of selections."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from channels_app.models import Artifact, Channel
from channels_app.packages import queries


def subdirs(channel: Channel) -> list[str]:
    """Return the subdirs that have or had files."""
    return list(channel.indexes.filter(label="").exclude(subdir="").order_by("subdir").values_list("subdir", flat=True))


def find(channel: Channel, conditions: dict[str, Any]) -> QuerySet[Artifact]:
    """Select the files that have all of the conditions, the newest first."""
    return queries.with_labels(queries.find_artifacts(channel, **conditions)).order_by("-pk")


def ticked(channel: Channel, ids: Iterable[int]) -> QuerySet[Artifact]:
    """Select the channel's files with these ids."""
    return queries.find_artifacts(channel).filter(pk__in=ids)


def common_name(selection: QuerySet[Artifact]) -> str:
    """Return the name of the package that all files belong to; '' if they belong to several."""
    names = selection.order_by().values_list("package__name", flat=True).distinct()[:2]
    return names[0] if len(names) == 1 else ""
