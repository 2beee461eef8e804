"""Queries of the upload pages."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import BooleanField, CharField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Label, User
from publishing.models import IndexedName

RECENT = 10


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An artifact and its state: published, indexed, set aside, yanked or deleted."""

    artifact: Artifact
    state: str


def recent_uploads(channel: Channel, user: User) -> list[Uploaded]:
    """Return the last uploads of `user` to `channel`, newest first, by one query."""
    # By primary key instead of by time, which would need a sort.
    newest = _uploads(channel).filter(uploaded_by=user).order_by("-pk")[:RECENT]
    return [_uploaded(artifact) for artifact in newest]


def upload_states(channel: Channel, paths: Iterable[str]) -> dict[str, str]:
    """Return path → state for those of `paths` (`<subdir>/<file name>`) that the channel has, by one query."""
    places = {(subdir, file_name) for subdir, _, file_name in (path.partition("/") for path in paths)}
    subdirs, file_names = {subdir for subdir, _ in places}, {file_name for _, file_name in places}
    found = map(_uploaded, _uploads(channel).filter(subdir__in=subdirs, file_name__in=file_names))
    return {
        each.artifact.path: each.state for each in found if (each.artifact.subdir, each.artifact.file_name) in places
    }


def uploads(channel: Channel, *, by: Actor | None, paths: Sequence[str]) -> QuerySet[Artifact]:
    """Return the channel's artifacts for state(): those of an actor, and those with these paths, if any are given."""
    found = _uploads(channel).select_related("channel", "uploaded_by")
    if by:
        found = found.filter(uploaded_by=by.user) if by.user else found.filter(uploaded_with=by.key)
    if paths:
        places = (path.partition("/") for path in paths)
        found = found.filter(reduce(or_, (Q(subdir=subdir, file_name=name) for subdir, _, name in places)))
    return found


def state(artifact: Artifact) -> str:
    """Return the state of an artifact of uploads()."""
    return _uploaded(artifact).state


def _uploads(channel: Channel) -> QuerySet[Artifact]:
    """Return the channel's artifacts with few columns and `is_in_step`: whether the indexes have their last change."""
    named = IndexedName.objects.filter(
        index__channel=OuterRef("channel"),
        name=OuterRef("package__name"),
    )
    is_made = Q(changed__lte=F("made")) | Q(changed__lte=F("index__built_revision"))
    labels = Label.objects.filter(artifacts=OuterRef(OuterRef("pk")))
    places = labels.values(
        place=Concat(Value("label/"), "name", Value("/"), OuterRef(OuterRef("subdir")), output_field=CharField())
    )
    is_in_main = Q(is_main=False) | Exists(named.filter(is_made, index__subdir=OuterRef("subdir")))
    is_in_labels = ~Exists(named.filter(index__subdir__in=places).exclude(is_made))
    fields = ("channel", "subdir", "file_name", "sha256", "size_bytes", "indexed_timestamp", "removal")
    found = Artifact.objects.filter(channel=channel).only(*fields, "quarantine_reason", "uploaded_by")
    return found.annotate(is_in_step=ExpressionWrapper(is_in_main & is_in_labels, BooleanField()))


def _uploaded(artifact: Artifact) -> Uploaded:
    if artifact.removal:
        return Uploaded(artifact, artifact.removal)
    if artifact.quarantine_reason:
        return Uploaded(artifact, "set aside")
    is_in_step: bool = getattr(artifact, "is_in_step", False)
    return Uploaded(artifact, "indexed" if is_in_step else "published")
