"""Quotas of channels, and when their owners were warned."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0025_fill_package_sizes")]

    operations = [
        migrations.AddField(
            "channel",
            "quota_bytes",
            models.PositiveBigIntegerField(
                null=True, blank=True, help_text="Limit of its stored bytes. Empty: the hub's default; 0: no limit."
            ),
        ),
        migrations.AddField(
            "channel",
            "quota_warned_at",
            models.DateTimeField(
                null=True, editable=False, help_text="Since when its owners know that it is nearly full."
            ),
        ),
    ]
