"""A table of messages that wait to be sent. It begins empty: older events were sent by jobs of their own."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0011_licence_texts")]

    operations = [
        migrations.CreateModel(
            name="Outgoing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "task",
                    models.CharField(help_text="The name of what sends it: one of tasks.SENDERS.", max_length=100),
                ),
                ("args", models.JSONField(default=list)),
                (
                    "lane",
                    models.CharField(help_text="To whom: what is in one lane goes out in order.", max_length=100),
                ),
                ("tries", models.PositiveSmallIntegerField(default=0)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
                (
                    "due_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), help_text="Not to be tried before."
                    ),
                ),
            ],
        ),
    ]
