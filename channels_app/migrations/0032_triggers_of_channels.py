"""SQLite made the table of channels anew for its kind, without the triggers of the search and of access decisions."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from channels_app.access import revision
from channels_app.search import indexes


def restore_triggers(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "sqlite":
        indexes.install(apps, editor)
        revision.install(apps, editor)


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0031_channel_kind")]

    operations = [migrations.RunPython(restore_triggers, migrations.RunPython.noop)]
