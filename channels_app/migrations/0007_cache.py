"""The table of the cache; see CACHES in hub/settings.py."""

from django.apps.registry import Apps
from django.core.management import call_command
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0006_people"),
    ]

    operations = [migrations.RunPython(make, migrations.RunPython.noop)]
