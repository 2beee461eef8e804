"""Webhooks of channels, and their deliveries."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.audit import AuditEvent
from channels_app.models.channels import Channel
from channels_app.models.users import User


class Webhook(models.Model):
    """An address that receives events of a channel, in order; see channels_app/webhooks."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="webhooks")
    url = models.CharField(max_length=500)
    events = models.JSONField(help_text="Kinds of events: names of webhooks/events.py.")
    encrypted_secret = models.TextField(help_text="The signing secret, encrypted by SECRET_KEY.")
    is_active = models.BooleanField(default=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="webhooks")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    events_since = models.DateTimeField(db_default=Now(), help_text="All earlier events have their deliveries.")
    failures = models.PositiveIntegerField(default=0, help_text="Failed attempts since the last success.")
    failing_since = models.DateTimeField(null=True)
    due_at = models.DateTimeField(db_default=Now(), help_text="The next attempt is not before this time.")
    tried_at = models.DateTimeField(null=True)
    is_slow = models.BooleanField(default=False, help_text="The last answer was slow: other hooks don't wait for it.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "url"], name="one_webhook_per_url")]

    def __str__(self) -> str:
        return f"webhook {self.pk}"


class DeliveryState(models.TextChoices):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDelivery(models.Model):
    """An event on its way to one webhook, with the answer to its last attempt. It is kept for 30 days."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(AuditEvent, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    kind = models.CharField(max_length=50)
    message_id = models.CharField(max_length=50, help_text="The header webhook-id: the same for each attempt.")
    body = models.TextField()
    state = models.CharField(max_length=10, choices=DeliveryState.choices, default=DeliveryState.PENDING)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    attempts = models.PositiveIntegerField(default=0)
    tried_at = models.DateTimeField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    answer_status = models.PositiveSmallIntegerField(null=True)
    answer_body = models.TextField(blank=True, help_text="The first kilobyte.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="one_delivery_per_event")]
        indexes = [
            models.Index(fields=["webhook"], condition=models.Q(state="pending"), name="pending_deliveries"),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.message_id}"
