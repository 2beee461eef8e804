"""Plans: changes of the active patches, compared first and then stored in one short transaction.

Each ends in the index as one change for each subdir, of the touched names alone.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import BoundedSemaphore

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_name, check_own_packages, lock_channel
from channels_app.audit import log
from channels_app.models import Artifact, Channel
from hub.errors import conflict, forbidden, not_found
from hub.http.request_body import slot_of
from publishing import name_globs
from publishing.index import builds
from publishing.index.fragments import BY_PATCHES
from publishing.models import Patch, PatchedName
from publishing.patches import previews
from publishing.patches.previews import Preview

# Of 32 threads per process: comparing 5,000 records takes seconds.
COMPARISONS, COMPARISONS_WAIT_S = BoundedSemaphore(4), 5.0
ACTIVE_MAX = 200
# Of all active patches. Each is compared with each package name in a build of the index.
WILDCARD_NAMES_MAX = 500
# Ended patches that can be applied again. Older ones are deleted; the activity of the channel still has their events.
ENDED_MAX, ENDED_IMPORTS_MAX = 200, 10
# Of the changes in an event.
CHANGES_MAX_CHARACTERS = 1000
NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A change of the active patches: those that end, those that begin, and those that its events name."""

    action: Action
    subjects: Sequence[Patch]
    begins: Sequence[Patch] = ()
    ends: Sequence[Patch] = ()

    @property
    def changed(self) -> list[Patch]:
        return [*self.begins, *self.ends]


def run(actor: Actor, channel: Channel, plan: Plan, *, dry_run: bool) -> Preview:
    """Carry out the plan, or only compare the records. Raise HubError 409 if the patches were changed meanwhile."""
    before = list(Patch.active(channel))
    _check(actor, channel, plan, before)
    last = before[-1].position if before else 0
    after = [patch for patch in before if patch not in plan.ends] + list(plan.begins)
    after.sort(key=lambda patch: patch.position or last + 1)
    seen = dict(channel.indexes.values_list("pk", "requested_revision"))
    with slot_of(COMPARISONS, "comparisons of patches", wait_s=COMPARISONS_WAIT_S):
        preview = previews.compare(channel, before, after)
    if plan.action != Action.PATCH_UNDO:  # which makes records as long as they were
        previews.check_growth(preview)
    if not dry_run:
        _store(actor, channel, plan, before, preview, seen)
    return preview


def _check(actor: Actor, channel: Channel, plan: Plan, before: Sequence[Patch]) -> None:
    if not all(patch in before for patch in plan.ends):
        raise conflict("patch_ended", "The patch is not active any more. Read the patches again.")
    if len(plan.begins) > len(plan.ends) and len(before) + len(plan.begins) - len(plan.ends) > ACTIVE_MAX:
        raise conflict("patches_limit", f"'{channel}' can have {ACTIVE_MAX} patches at most. Undo one.")
    _check_wildcards(channel, plan, before)
    for patch in plan.changed:
        _check_names(actor, channel, patch)


def _check_wildcards(channel: Channel, plan: Plan, before: Sequence[Patch]) -> None:
    begin = sum(len(name_globs.with_wildcards(patch.names)) for patch in plan.begins)
    stay = sum(len(name_globs.with_wildcards(patch.names)) for patch in before if patch not in plan.ends)
    if begin and begin + stay > WILDCARD_NAMES_MAX:
        raise conflict(
            "patches_limit",
            f"The patches of '{channel}' can have {WILDCARD_NAMES_MAX} names with wildcards at most. Write names out.",
        )


def _check_names(actor: Actor, channel: Channel, patch: Patch) -> None:
    """Raise HubError 403 if the key is limited to other names. A limited key writes names out, without wildcards."""
    if actor.key is None or not actor.key.package_globs:
        return
    names = sorted(previews.imported_names(patch)) if patch.is_import else patch.names or ["*"]
    for name in names:
        if name_globs.with_wildcards([name]):
            raise forbidden(
                "name_not_allowed", f"{actor} is limited to package names; '{name}' can match others. Write names out."
            )
        check_name(actor, channel, name, "patch the package '{}' in")


@transaction.atomic
def _store(
    actor: Actor, channel: Channel, plan: Plan, before: Sequence[Patch], preview: Preview, seen: Mapping[int, int]
) -> None:
    locked = lock_channel(actor, channel, Permission.MANAGE)
    check_own_packages(locked)
    if list(Patch.active(locked)) != list(before):
        raise conflict("patches_changed", "The patches were changed meanwhile. Look at them, and try again.")
    ended = {"ended_at": timezone.now(), "ended_by": actor.user}
    Patch.objects.filter(pk__in=[patch.pk for patch in plan.ends]).update(**ended)
    for patch in plan.begins:
        _begin(actor, locked, patch)
    _schedule(locked, plan, preview, seen)
    _delete_oldest(locked)
    events = {patch.title: {"fields": _described(patch, preview)} for patch in plan.subjects}
    log.record_each(plan.action, by=actor, channel=locked, targets=events)
    for patch in plan.subjects:
        patch.refresh_from_db()


def _begin(actor: Actor, channel: Channel, patch: Patch) -> None:
    if patch.pk:
        if not channel.patches.filter(pk=patch.pk).update(ended_at=None, ended_by=None):
            raise not_found("no_such_patch", f"'{channel}' has no patch {patch.pk} any more.")
        return
    if not patch.position:
        patch.position = (channel.patches.aggregate(last=Max("position"))["last"] or 0) + 1
    patch.created_by = actor.user
    patch.save()
    parts = [PatchedName(patch=patch, name=name, files=files) for name, files in (patch.parts or {}).items()]
    PatchedName.objects.bulk_create(parts, batch_size=NAMES_AT_ONCE)


def _schedule(channel: Channel, plan: Plan, preview: Preview, seen: Mapping[int, int]) -> None:
    """Schedule one build for each subdir.

    `seen`: index id → its revision before the comparison. Names that changed since then may have new artifacts, which
    were built without the change.
    """
    names = {subdir: set(found) for subdir, found in preview.names.items()}
    conditions = [previews.may_select(patch) for patch in plan.changed]
    for subdir, name in _changed_since(channel, seen):
        if any(may_select(name) for may_select in conditions):
            names.setdefault(subdir, set()).add(name)
    unreadable = Artifact.objects.filter(channel=channel, quarantine_reason__startswith=BY_PATCHES)
    for subdir, name in unreadable.values_list("subdir", "package__name"):
        names.setdefault(subdir, set()).add(name)
    unreadable.update(quarantine_reason="")
    for subdir in sorted(names):
        builds.schedule_build(channel, subdir, sorted(names[subdir]), removes=subdir in preview.removed_from)


def _changed_since(channel: Channel, seen: Mapping[int, int]) -> Iterator[tuple[str, str]]:
    """Yield subdir and name of each change. Locks the indexes, so that changes that come later see the patches."""
    indexes = channel.indexes.exclude(subdir=builds.WHOLE_CHANNEL).order_by("subdir")
    for index in indexes.select_for_update(no_key=True):
        revision = seen.get(index.pk, 0)
        if index.requested_revision > revision:
            changed = index.names.filter(changed__gt=revision).values_list("name", flat=True)
            yield from ((index.platform, name) for name in changed)


def _described(patch: Patch, preview: Preview) -> dict[str, str]:
    """Return the patch in words for its event, which outlasts the patch."""
    conditions = {
        "names": ", ".join(patch.names),
        "platforms": patch.import_subdir or ", ".join(patch.subdirs),
        "version": patch.version,
        "build": patch.build,
        "built from": str(patch.built_from or ""),
        "built before": str(patch.built_before or ""),
    }
    changes = patch.source or json.dumps(patch.changes)[:CHANGES_MAX_CHARACTERS]
    return conditions | {"changes": changes, "records": f"{preview.record_count:,}"}


def _delete_oldest(channel: Channel) -> None:
    ended = channel.patches.exclude(ended_at=None).order_by("-ended_at", "-pk")
    oldest = [*ended.values_list("pk", flat=True)[ENDED_MAX:]]
    oldest += ended.exclude(import_subdir="").values_list("pk", flat=True)[ENDED_IMPORTS_MAX:]
    Patch.objects.filter(pk__in=oldest).delete()
