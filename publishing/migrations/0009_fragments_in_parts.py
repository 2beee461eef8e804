"""Large fragments are in parts, so that memory does not grow with them; those from before are one part each."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.functions import Length

WHOLE_MAX_BYTES = 64 * 1024


def mark_large(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    fragments = apps.get_model("publishing", "Fragment").objects
    fragments.annotate(length=Length("body")).filter(length__gt=WHOLE_MAX_BYTES).update(part=1)


class Migration(migrations.Migration):
    dependencies = [("publishing", "0008_channeldata_anew")]

    operations = [
        migrations.AddField(
            "fragment",
            "part",
            models.PositiveIntegerField(default=0, db_default=0, help_text="0: it is whole; or its parts, from 1 on."),
        ),
        migrations.RemoveConstraint("fragment", "one_fragment_a_name"),
        migrations.AddConstraint(
            "fragment",
            models.UniqueConstraint(fields=["index", "section", "name", "part"], name="one_fragment_a_name_and_part"),
        ),
        migrations.RunPython(mark_large, migrations.RunPython.noop),
    ]
