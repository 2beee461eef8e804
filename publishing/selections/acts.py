"""The acts on selected files, in one table: the pages show a button for each.

Another act needs an entry in ACTS, its form, and its explanation, templates/selections/<name>.html.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db.models import QuerySet

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel
from channels_app.packages.queries import with_labels
from publishing.labels import artifact_labels, edits, names
from publishing.labels.forms import EditForm
from publishing.removal import dependents, removal
from publishing.removal.dependents import Dependents
from publishing.removal.forms import DeleteForm, RestoreForm, YankForm
from publishing.removal.removal import Change


@dataclass(frozen=True, slots=True)
class Plan:
    """The effect of an act: the files that it changes, those that it leaves, and the packages that depend on them.

    `fingerprint` is that of the files. The act refuses to change others.
    """

    files: list[Artifact]
    left: list[Artifact]
    fingerprint: str
    dependents: Dependents | None = None

    @property
    def size_bytes(self) -> int:
        return sum(artifact.size_bytes for artifact in self.files)

    @property
    def subdirs(self) -> list[tuple[str, int]]:
        """Return the subdirs with the number of their files."""
        return sorted(Counter(artifact.subdir for artifact in self.files).items())


@dataclass(frozen=True, slots=True)
class SelectionAct:
    """An act with its words, its form and its functions. `form` takes the `name` that confirms a deletion.

    `apply` takes the fingerprint of a plan as `expected`, and the values of the form. It returns the changed files.
    """

    name: str
    verb: str
    icon: str
    done: str
    form: type[RestoreForm]
    plan: Callable[[Actor, Channel, QuerySet[Artifact]], Plan]
    apply: Callable[..., list[Artifact]]
    is_dangerous: bool = False
    shows_labels: bool = False

    @property
    def explanation(self) -> str:
        """Return the template of the sentences above the form."""
        return f"selections/{self.name}.html"


def _plan_removal(change: Change, actor: Actor, channel: Channel, selection: QuerySet[Artifact]) -> Plan:
    found = removal.affected(actor=actor, channel=channel, selection=selection, change=change)
    files = [artifact for artifact in found if not artifact.is_purged]
    left = selection.exclude(pk__in=[artifact.pk for artifact in files]).select_related("removed_by").order_by("pk")
    depending = dependents.of_removal(actor, channel, files) if change.to else None
    return Plan(files, list(left), removal.fingerprint(found), depending)


def _remove(change: Change, *, expected: str, reason: str = "", **arguments: Any) -> list[Artifact]:
    changed = removal.change_selection(change=change, reason=reason, expected=expected, **arguments)
    return [artifact for artifact in changed if artifact.removal == change.to]


def _plan_labels(actor: Actor, channel: Channel, selection: QuerySet[Artifact]) -> Plan:
    """Return the plan for all files. Their fingerprint has their labels, because the form is filled in afterwards."""
    found = artifact_labels.labeled_files(with_labels(selection))
    return Plan([artifact for artifact, _ in found], [], artifact_labels.fingerprint(found))


def _label(*, add: str, remove: str, **arguments: Any) -> list[Artifact]:
    edit = edits.change(names.parsed([add]), names.parsed([remove]))
    return [artifact for artifact, _, _ in artifact_labels.edit_selection(edit=edit, **arguments)]


def _removal_act(change: Change, **values: Any) -> SelectionAct:
    return SelectionAct(plan=partial(_plan_removal, change), apply=partial(_remove, change), **values)


ALL = (
    _removal_act(
        removal.YANK,
        name="yank",
        verb="Yank",
        icon="ban",
        done="yanked: no longer in the index, but the URLs still work.",
        form=YankForm,
    ),
    _removal_act(
        removal.RESTORE,
        name="restore",
        verb="Restore",
        icon="rotate-ccw",
        done="back in the index.",
        form=RestoreForm,
    ),
    SelectionAct(
        name="label",
        verb="Label",
        icon="tag",
        done="labeled. The indexes follow within seconds.",
        form=EditForm,
        plan=_plan_labels,
        apply=_label,
        shows_labels=True,
    ),
    _removal_act(
        removal.DELETE,
        name="delete",
        verb="Delete",
        icon="trash-2",
        done="deleted, and can be restored until the bytes are purged.",
        form=DeleteForm,
        is_dangerous=True,
    ),
)
ACTS = {act.name: act for act in ALL}
