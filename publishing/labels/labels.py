"""Labels of a channel: they are created, get an end, and are deleted.

Locks are taken in this order, as uploads do: the channel, artifacts, packages, labels, indexes.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import ANONYMOUS, Actor, Permission, check_name, lock_channel
from channels_app.audit import log
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Label, Removal
from channels_app.packages import packages
from channels_app.packages.queries import HEAVY
from hub.errors import HubError, conflict, unprocessable
from publishing.index import builds
from publishing.labels import queries
from publishing.labels.names import checked
from publishing.labels.queries import Labeled
from publishing.removal import removal

LABELS_MAX = 1000
LASTS_MAX = timedelta(days=366)
# An empty index of this subdir makes the folder of a label a valid channel.
FIRST_SUBDIR = "noarch"


@transaction.atomic
def create(*, actor: Actor, channel: Channel, name: str, expires_at: datetime | None = None) -> Label:
    """Create a label without files. Raise HubError 409 if it exists or the channel has 1,000, and 422 for a bad one."""
    locked = lock_channel(actor, channel, Permission.UPLOAD)
    if checked(name) == MAIN_LABEL or queries.of_channel(locked).filter(name=name).exists():
        raise conflict("label_exists", f"'{channel}' has the label '{name}' already.")
    _check_expiry(expires_at)
    _create(actor, locked, [name], expires_at)
    _schedule_empty(locked, [name])
    return queries.label_of(locked, name)


@transaction.atomic
def ensure(*, actor: Actor, channel: Channel, names: Collection[str]) -> None:
    """Create those of the labels that don't exist. Raise HubError 409 if the channel would have more than 1,000."""
    if _missing(channel, names):
        locked = lock_channel(actor, channel, Permission.UPLOAD)
        if created := create_missing(actor, locked, names):
            _schedule_empty(locked, created)


def check_room(channel: Channel, names: Collection[str]) -> None:
    """Raise HubError 409 if the channel would have more than 1,000 labels with those of `names` that it lacks."""
    missing = _missing(channel, names)
    if missing and queries.of_channel(channel).count() + len(missing) > LABELS_MAX:
        raise limit_reached(channel.name)


def limit_reached(channel: str) -> HubError:
    return conflict("labels_limit", f"'{channel}' can have {LABELS_MAX:,} labels at most. Delete one.")


@transaction.atomic
def restore(*, channel: Channel, names: Collection[str]) -> list[str]:
    """Create those of the labels that an imported channel lacks, and return them. Raise the errors of ensure()."""
    locked_by_operator(channel)
    if created := create_missing(ANONYMOUS, channel, names):
        _schedule_empty(channel, created)
    return created


def locked_by_operator(channel: Channel) -> Channel:
    """Lock the channel's row for a command, as lock_channel() does for an actor, and return the row."""
    return Channel.objects.select_for_update(no_key=True).filter(pk=channel.pk).first() or channel


def create_missing(actor: Actor, channel: Channel, names: Collection[str]) -> list[str]:
    """Create those of the labels that the locked channel lacks, and return them. Raise the errors of ensure().

    The caller schedules their indexes, as its last.
    """
    missing = _missing(channel, names)
    _create(actor, channel, missing)
    return missing


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


def _missing(channel: Channel, names: Collection[str]) -> list[str]:
    wanted = set(names) - {MAIN_LABEL}
    known = queries.of_channel(channel).filter(name__in=wanted).values_list("name", flat=True) if wanted else ()
    return sorted(wanted - set(known))


def _create(actor: Actor, channel: Channel, names: Sequence[str], expires_at: datetime | None = None) -> None:
    """Create labels of the locked channel, with an event for each."""
    if not names:
        return
    check_room(channel, names)
    Label.objects.bulk_create(
        Label(channel=channel, name=name, created_by=actor.user, expires_at=expires_at) for name in names
    )
    fields = {"expires": _moment(expires_at)} if expires_at else {}
    log.record_each(
        Action.LABEL_CREATE, by=actor, channel=channel, targets={name: {"fields": fields} for name in names}
    )


def _schedule_empty(channel: Channel, created: Sequence[str]) -> None:
    """Mark an empty index of each created label stale."""
    builds.schedule_label_builds(channel, FIRST_SUBDIR, {name: [] for name in created})


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
