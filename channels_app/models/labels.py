"""Labels of files within a channel."""

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models.channels import Channel
from channels_app.models.packages import Artifact
from channels_app.models.users import User


class Label(models.Model):
    """A label other than `main`: `https://host/<channel>/label/<name>` is a channel of the files that have it.

    The label `main` has no row; see Artifact.is_main.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="labels")
    name = models.CharField(max_length=identifiers.LABEL_MAX_CHARACTERS)
    artifacts = models.ManyToManyField(Artifact, related_name="labels")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="labels")
    expires_at = models.DateTimeField(
        null=True, help_text="Then it is deleted, with the files that have no other label. Empty: never."
    )

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="one_label_a_name")]
        indexes = [
            models.Index(fields=["expires_at"], name="labels_by_expiry", condition=models.Q(expires_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.channel}/label/{self.name}"
