"""Patches of records, and the names that they select."""

from typing import Any

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models import Channel, User


class Patch(models.Model):
    """A change of repodata records of a channel: a rule, or imported instructions for the files of one subdir.

    Its content never changes. It is active until it ends; patches of one position replace each other. The patches of a
    channel apply in the order of their positions. See index/patching.py and patches/patches.py.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="patches")
    position = models.PositiveBigIntegerField()
    title = models.CharField(max_length=200)
    names = models.JSONField(default=list, help_text="Globs of package names; empty: all.")
    subdirs = models.JSONField(default=list, help_text="Empty: all.")
    version = models.CharField(max_length=200, blank=True, help_text="A version spec such as >=1.2,<2.")
    build = models.CharField(max_length=64, blank=True, help_text="A glob.")
    built_from = models.DateTimeField(null=True)
    built_before = models.DateTimeField(null=True)
    changes = models.JSONField(default=dict, help_text="Key of the record → its change; see index/patching.py.")
    import_subdir = models.CharField(
        max_length=identifiers.SUBDIR_MAX_CHARACTERS, blank=True, help_text="Of imported instructions."
    )
    source = models.CharField(max_length=300, blank=True, help_text="The file that was imported.")
    file_count = models.PositiveIntegerField(default=0, help_text="The files that imported instructions name.")
    ignored = models.JSONField(default=dict, help_text="Keys that no patch may change → how many files have them.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="patches")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="ended_patches")
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="replaced_by", help_text="Active again after undo."
    )

    # Of an import that is not saved yet: package name → file name → changes.
    parts: dict[str, dict[str, Any]] | None = None

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "position"], condition=models.Q(ended_at=None), name="one_patch_a_position"
            ),
            models.UniqueConstraint(
                fields=["channel", "import_subdir"],
                condition=models.Q(ended_at=None) & ~models.Q(import_subdir=""),
                name="one_import_a_subdir",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_import(self) -> bool:
        return bool(self.import_subdir)

    @classmethod
    def active(cls, channel: Channel) -> models.QuerySet["Patch"]:
        """Select the active patches of the channel, in the order in which they apply."""
        return cls.objects.filter(channel=channel, ended_at=None).order_by("position")


class PatchedName(models.Model):
    """The imported instructions for the files of one package name: file name → changes."""

    patch = models.ForeignKey(Patch, on_delete=models.CASCADE, related_name="patched_names")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    files = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["patch", "name"], name="one_part_a_name")]

    def __str__(self) -> str:
        return self.name
