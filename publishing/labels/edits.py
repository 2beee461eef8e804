"""Edits of labels: added, removed, or set, for each selected file alike."""

from collections.abc import Collection
from dataclasses import dataclass

from channels_app.access.permissions import Permission
from hub.errors import unprocessable
from publishing.labels.names import checked

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of labels: it adds some and removes others, or sets exactly those of `exactly`."""

    added: Names = frozenset()
    removed: Names = frozenset()
    exactly: Names | None = None

    @property
    def new(self) -> Names:
        """Return the labels that files may get by it."""
        return self.added if self.exactly is None else self.exactly

    @property
    def permission(self) -> Permission:
        """Return the right that it needs at least. A file that loses a label needs the right to delete."""
        return Permission.UPLOAD if self.new else Permission.DELETE

    def after(self, before: Names) -> Names:
        return (before | self.added) - self.removed if self.exactly is None else self.exactly


def change(add: Collection[str], remove: Collection[str]) -> Edit:
    """Return the edit that adds and removes labels. Raise HubError 422 for bad ones."""
    if both := set(add) & set(remove):
        raise unprocessable("bad_label", f"'{min(both)}' can't be added and removed at once.")
    return Edit(added=frozenset(map(checked, add)), removed=frozenset(map(checked, remove)))


def exactly(labels: Collection[str]) -> Edit:
    """Return the edit that sets these labels. Raise HubError 422 for bad ones."""
    return Edit(exactly=frozenset(map(checked, labels)))
