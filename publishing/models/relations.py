"""Channels that clients load together (CEP 42)."""

from django.db import models

from channels_app.models import Channel


class ChannelRelations(models.Model):
    """The channels that clients load with a channel (CEP 42)."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="relations")
    base = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="+")
    overrides = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="+")
    listed = models.JSONField(default=dict, help_text="`channel_relations` of the index files.")

    class Meta:
        verbose_name_plural = "channel relations"

    def __str__(self) -> str:
        return f"relations of {self.channel}"
