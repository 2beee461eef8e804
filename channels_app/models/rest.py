"""Responses of the REST API that are kept for repeated requests."""

from django.db import models
from django.db.models.functions import Now


class IdempotentReply(models.Model):
    """The response to a request with an `Idempotency-Key`, kept for a day; see rest/idempotency.py."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the sender and the key.")
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of the request.")
    status = models.PositiveSmallIntegerField(default=0, help_text="0 until the response exists.")
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"reply {self.pk}"
