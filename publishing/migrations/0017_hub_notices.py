"""A notice without a channel is one of the hub. Some are for pages alone."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0026_channel_quotas"), ("publishing", "0016_channel_relations")]

    operations = [
        migrations.AlterField(
            "channelnotice",
            "channel",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notices",
                to="channels_app.channel",
                help_text="Null: a notice of the hub.",
            ),
        ),
        migrations.AddField(
            "channelnotice",
            "for_clients",
            models.BooleanField(
                default=True, db_default=True, help_text="False: only the pages of the hub show it, as a banner."
            ),
        ),
    ]
