"""Acts on a channel's patches.

A patch never changes. Another version of it takes its position, and ends it; undo makes the former one active again.
"""

from dataclasses import asdict, dataclass

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.models import Channel
from hub.errors import conflict, unprocessable
from publishing.models import Patch
from publishing.patches import plans, rules
from publishing.patches.changes import BadPatch
from publishing.patches.plans import Plan
from publishing.patches.previews import Preview
from publishing.patches.rules import NewRule


@dataclass(frozen=True, slots=True)
class Outcome:
    """The saved patches that an act is about, and the records that it changes."""

    patches: list[Patch]
    preview: Preview

    @property
    def patch(self) -> Patch | None:
        return self.patches[0] if self.patches else None


def add(*, actor: Actor, channel: Channel, rule: NewRule, dry_run: bool = False) -> Outcome:
    """Add a rule after all other patches. Raise HubError 422 for a bad one, and 409 if the channel has 200 patches."""
    patch = _unsaved(channel, rule)
    return run(actor, channel, Plan(action=Action.PATCH_ADD, subjects=[patch], begins=[patch]), dry_run=dry_run)


def change(*, actor: Actor, patch: Patch, rule: NewRule, dry_run: bool = False) -> Outcome:
    """Replace the active rule by another one at its position. Raise HubError 409 if it has ended or is an import."""
    if patch.is_import:
        raise conflict("patch_imported", "Imported instructions can't be edited. Import a corrected file instead.")
    new = _unsaved(patch.channel, rule)
    new.position, new.replaces = patch.position, patch
    plan = Plan(action=Action.PATCH_CHANGE, subjects=[new], begins=[new], ends=[patch])
    return run(actor, patch.channel, plan, dry_run=dry_run)


def undo(*, actor: Actor, patch: Patch, dry_run: bool = False) -> Outcome:
    """End the active patch. The one that it replaced is active again."""
    begins = [patch.replaces] if patch.replaces else []
    plan = Plan(action=Action.PATCH_UNDO, subjects=[patch], begins=begins, ends=[patch])
    return run(actor, patch.channel, plan, dry_run=dry_run)


def apply_again(*, actor: Actor, patch: Patch, dry_run: bool = False) -> Outcome:
    """Make the ended patch active again, in place of the active one of its position."""
    if patch.ended_at is None:
        raise conflict("patch_active", f"The patch {patch.pk} is active already.")
    ends = list(Patch.active(patch.channel).filter(position=patch.position))
    plan = Plan(action=Action.PATCH_APPLY, subjects=[patch], begins=[patch], ends=ends)
    return run(actor, patch.channel, plan, dry_run=dry_run)


def _unsaved(channel: Channel, rule: NewRule) -> Patch:
    """Return the rule as an unsaved patch. Raise HubError 422 if a value is bad."""
    try:
        rules.check(rule)
    except BadPatch as error:
        raise unprocessable("bad_patch", error.reason) from error
    return Patch(channel=channel, **asdict(rule))


def run(actor: Actor, channel: Channel, plan: Plan, *, dry_run: bool) -> Outcome:
    """Carry out the plan, or only compare the records."""
    preview = plans.run(actor, channel, plan, dry_run=dry_run)
    return Outcome([patch for patch in plan.subjects if patch.pk], preview)
