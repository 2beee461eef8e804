"""Each package has the size of its stored files. 0025 fills it in, without a lock on the whole table."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from channels_app.search import indexes


def restore_triggers(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers of the search again: SQLite makes the table anew, without them."""
    if editor.connection.vendor == "sqlite":
        indexes.install(apps, editor)


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0023_webhooks")]

    operations = [
        migrations.AddField(
            "package",
            "size_bytes",
            models.PositiveBigIntegerField(
                default=0, db_default=0, help_text="Of its stored files: deleted ones count until they are purged."
            ),
        ),
        migrations.RunPython(restore_triggers, migrations.RunPython.noop),
    ]
