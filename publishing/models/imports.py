"""Imports into channels, and the files that they refused."""

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models import ApiKey, Channel, User


class ImportState(models.TextChoices):
    RUNNING = "running", "running"
    DONE = "done", "done"
    STOPPED = "stopped", "stopped"
    FAILED = "failed", "failed"


class SourceKey(models.TextChoices):
    """How the source gets its key."""

    NONE = "none", "no key"
    BEARER = "bearer", "Authorization: Bearer (Channelhub, Artifactory, prefix.dev)"
    X_API_KEY = "x-api-key", "X-API-Key (quetz)"
    PATH = "path", "/t/KEY/ in the address (anaconda.org)"
    BASIC = "basic", "user:password"


class Import(models.Model):
    """An import of another channel's packages; see imports/imports.py. The row is the truth about its progress."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="imports")
    source = models.CharField(max_length=500, help_text="The URL of a channel, without a key.")
    is_by_operator = models.BooleanField(default=False, help_text="A command runs it, not the hub's workers.")
    key_kind = models.CharField(max_length=9, choices=SourceKey, default=SourceKey.NONE)
    encrypted_key = models.TextField(blank=True, help_text="Deleted as soon as the import does not run.")
    include = models.JSONField(default=list, help_text="MatchSpecs; empty: all packages.")
    exclude = models.JSONField(default=list, help_text="MatchSpecs.")
    subdirs = models.JSONField(default=list, help_text="Empty: all.")
    newest_versions = models.PositiveIntegerField(null=True, help_text="Of each name and subdir; null: all.")
    label = models.CharField(
        max_length=identifiers.LABEL_MAX_CHARACTERS,
        blank=True,
        default="",
        db_default="",
        help_text="That all files get, new ones it alone; empty: new files get main.",
    )
    state = models.CharField(max_length=7, choices=ImportState, default=ImportState.RUNNING)
    failure = models.CharField(max_length=500, blank=True)
    found_files = models.PositiveIntegerField(null=True, help_text="That the filters keep; null: not known yet.")
    found_bytes = models.PositiveBigIntegerField(default=0)
    present_files = models.PositiveIntegerField(default=0, help_text="That the channel had already, in the last run.")
    imported_files = models.PositiveIntegerField(default=0)
    imported_bytes = models.PositiveBigIntegerField(default=0)
    worked_s = models.FloatField(default=0.0, help_text="Time of all runs, in seconds.")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="imports")
    created_with = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="imports")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    worked_at = models.DateTimeField(null=True, help_text="The last sign of a running process.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel"], name="one_running_import_a_channel", condition=models.Q(state="running")
            ),
        ]
        indexes = [models.Index(fields=["worked_at"], name="running_imports", condition=models.Q(state="running"))]

    def __str__(self) -> str:
        return f"import {self.pk} into {self.channel}"

    @property
    def starter(self) -> str:
        """Return the name of the user or of the key without one; '' if both are deleted, and for a command."""
        if self.created_by:
            return self.created_by.username
        return self.created_with.name if self.created_with else ""

    @property
    def files_per_s(self) -> float:
        """Return the files that were imported per second of work."""
        return self.imported_files / self.worked_s if self.worked_s else 0.0


class RefusedFile(models.Model):
    """A file that an import has refused. It is not tried again until the import is resumed."""

    of_import = models.ForeignKey(Import, on_delete=models.CASCADE, related_name="refused")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=identifiers.FILE_NAME_MAX_CHARACTERS)
    reason = models.CharField(max_length=500)

    class Meta:
        ordering = ["subdir", "file_name"]
        constraints = [models.UniqueConstraint(fields=["of_import", "subdir", "file_name"], name="one_refusal_a_file")]

    def __str__(self) -> str:
        return f"{self.subdir}/{self.file_name}"
