"""channeldata.json has at most 1,000 characters of a text now, so every channel's is made anew, by the next builds."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.functions import Now

WHOLE_CHANNEL = ""


def want_anew(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    """Mark each name as changed, or the nightly verification would take what an earlier version made for damage."""
    indexes = apps.get_model("publishing", "SubdirIndex").objects.filter(subdir=WHOLE_CHANNEL)
    names = apps.get_model("publishing", "IndexedName").objects
    for index in indexes:
        indexes.filter(pk=index.pk).update(wanted=models.F("wanted") + 1, wanted_at=Now())
        names.filter(index=index).update(changed=index.wanted + 1)


class Migration(migrations.Migration):
    dependencies = [("publishing", "0007_publishers_end_with_their_key")]

    operations = [migrations.RunPython(want_anew, migrations.RunPython.noop)]
