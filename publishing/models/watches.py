"""Channels that watch their own prefix of the store, and the files there that they refused."""

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models import Channel, User


class Watch(models.Model):
    """A watch of a channel's prefix; see watches/watches.py. It exists while the watch is on."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="watch")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="watches")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    cursor = models.CharField(
        max_length=1100, blank=True, help_text="The next pass begins after this path; empty: with the first."
    )
    clean = models.JSONField(default=list, help_text="Digests of parts of the listing that had nothing new.")
    compared_at = models.DateTimeField(null=True, help_text="When a pass last compared every part with the rows.")
    retries = models.PositiveIntegerField(default=0, help_text="How often the refused files were to be checked again.")
    passed_at = models.DateTimeField(null=True, help_text="When the last pass ended.")
    listed_at = models.DateTimeField(null=True, help_text="When a pass last ended with the last file.")
    pass_s = models.FloatField(default=0.0, help_text="How long the last pass took, in seconds.")
    adopted_files = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=500, blank=True, help_text="What stopped the last pass, as a sentence.")

    class Meta:
        verbose_name_plural = "watches"

    def __str__(self) -> str:
        return f"watch of {self.channel}"


class WatchedFile(models.Model):
    """A file that a watch has refused. It is checked again when its size or version changes."""

    watch = models.ForeignKey(Watch, on_delete=models.CASCADE, related_name="refused")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=1024, help_text="Any name that a store can have.")
    size_bytes = models.PositiveBigIntegerField()
    version = models.CharField(max_length=200, help_text="Of the listing: the ETag, or time and inode.")
    code = models.CharField(max_length=40)
    reason = models.CharField(max_length=500)
    seen_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["subdir", "file_name"]
        constraints = [
            models.UniqueConstraint(fields=["watch", "subdir", "file_name"], name="one_refusal_a_watched_file")
        ]

    def __str__(self) -> str:
        return f"{self.subdir}/{self.file_name}"
