"""Verified attestations of artifacts."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models import Artifact


class Attestation(models.Model):
    """A verified Sigstore bundle: one element of its artifact's sidecar (CEP 50). Its bytes never change."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="attestations")
    position = models.PositiveIntegerField()
    bundle = models.TextField()
    claims = models.JSONField(default=dict, help_text="What its certificate says: name → value.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["artifact", "position"], name="one_attestation_a_position")]

    def __str__(self) -> str:
        return f"{self.artifact} {self.position}"
