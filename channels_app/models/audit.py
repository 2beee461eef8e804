"""The audit log, and messages that wait to be sent."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.channels import Channel
from channels_app.models.keys import ApiKey
from channels_app.models.users import User


class AuditEvent(models.Model):
    """A change, with its actor and credential; it is written in the transaction of the change."""

    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="events")
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="events")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="events")
    action = models.CharField(max_length=50)
    target = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["channel", "-created_at"], name="events_of_channel")]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class Outgoing(models.Model):
    """An outgoing message, such as a mail; see outbox.py."""

    task = models.CharField(max_length=100, help_text="The name of what sends it: one of tasks.SENDERS.")
    args = models.JSONField(default=list)
    lane = models.CharField(max_length=100, help_text="To whom: what is in one lane goes out in order.")
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now(), help_text="Not to be tried before.")

    def __str__(self) -> str:
        return f"{self.task}{tuple(self.args)}"


class Letter(models.Model):
    """A mail that a request has stored, such as one with a code, until a job sends it; see mailing.py."""

    to = models.CharField(max_length=254, blank=True, help_text="Empty if there is no recipient.")
    subject = models.CharField(max_length=300)
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"letter {self.pk}"
