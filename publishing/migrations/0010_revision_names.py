"""Rename columns. The database keeps the partial index of stale rows at a rename."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("publishing", "0009_fragments_in_parts")]

    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveIndex("subdirindex", "stale_indexes")]),
        migrations.RenameField("subdirindex", "wanted", "requested_revision"),
        migrations.RenameField("subdirindex", "wanted_at", "requested_at"),
        migrations.RenameField("subdirindex", "built", "built_revision"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(
                    "subdirindex",
                    models.Index(
                        fields=["id"],
                        name="stale_indexes",
                        condition=models.Q(requested_revision__gt=models.F("built_revision")),
                    ),
                )
            ]
        ),
        migrations.RenameField("usedidtoken", "until", "expires_at"),
    ]
