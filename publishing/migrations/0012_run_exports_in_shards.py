"""Records in shards have run exports now (CEP 21), so every subdir's shards are made anew by the next builds."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.functions import Now

WHOLE_CHANNEL = ""


def request_builds(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    """Mark each name as changed. Otherwise, the nightly verification would report the former shards as damage."""
    indexes = apps.get_model("publishing", "SubdirIndex").objects.exclude(subdir=WHOLE_CHANNEL)
    names = apps.get_model("publishing", "IndexedName").objects
    for index in indexes:
        revision = index.requested_revision + 1
        indexes.filter(pk=index.pk).update(requested_revision=models.F("requested_revision") + 1, requested_at=Now())
        names.filter(index=index).update(changed=revision)


class Migration(migrations.Migration):
    dependencies = [("publishing", "0011_channel_notices")]

    operations = [migrations.RunPython(request_builds, migrations.RunPython.noop)]
