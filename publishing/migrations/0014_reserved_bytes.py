"""Running uploads count for the quota of their channel by the bytes in their reservations."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("publishing", "0013_promotions")]

    operations = [
        migrations.AddField(
            "reservation",
            "more_bytes",
            models.PositiveBigIntegerField(
                default=0, db_default=0, help_text="That the upload adds to the channel, for its quota."
            ),
        ),
    ]
