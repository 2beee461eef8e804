"""Failed jobs, and verifications of channels."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models import Channel


class FailedJob(models.Model):
    """A job that failed, until it succeeds or an administrator dismisses it; see failed_jobs.py."""

    task = models.CharField(max_length=100)
    args = models.JSONField(default=list)
    error = models.CharField(max_length=500)
    times = models.PositiveIntegerField(default=1, help_text="How often it has failed since it last succeeded.")
    failed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-failed_at"]
        constraints = [models.UniqueConstraint(fields=["task", "args"], name="one_failure_a_job")]

    def __str__(self) -> str:
        return f"{self.task}{tuple(self.args)}: {self.error}"


class Verification(models.Model):
    """The last comparison of a channel's database, index files and store; see verification/verification.py."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="verification")
    ended_at = models.DateTimeField(db_default=Now())
    is_hashed = models.BooleanField(default=False, help_text="Whether every byte was read, too.")
    file_count = models.PositiveIntegerField(default=0)
    differences = models.JSONField(default=list, help_text="A list of [kind, key, sentence]: the first 1,000.")
    difference_count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.channel}: {self.difference_count} differences"
