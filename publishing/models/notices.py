"""Notices of channels and of the hub (CEP 6)."""

import uuid

from django.db import models
from django.db.models.functions import Now

from channels_app.models import Channel, User


class NoticeLevel(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class ChannelNotice(models.Model):
    """A message for everybody who uses the channel (CEP 6) or the hub. It is deleted when it expires."""

    channel = models.ForeignKey(
        Channel, null=True, on_delete=models.CASCADE, related_name="notices", help_text="Null: a notice of the hub."
    )
    uid = models.UUIDField(default=uuid.uuid4, help_text="Clients show each uid once; another message gets another.")
    level = models.CharField(max_length=8, choices=NoticeLevel.choices)
    message = models.CharField(max_length=1000)
    for_clients = models.BooleanField(
        default=True, db_default=True, help_text="False: only the pages of the hub show it, as a banner."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="channel_notices")

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="notices_by_expiry")]

    def __str__(self) -> str:
        return f"{self.channel or 'hub'}: {self.level} notice"
