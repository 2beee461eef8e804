"""An index by which clients wait for a file that they know by its checksum."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0021_idempotent_replies")]

    operations = [
        migrations.AddIndex("artifact", models.Index(fields=["sha256"], name="artifact_by_sha256")),
    ]
