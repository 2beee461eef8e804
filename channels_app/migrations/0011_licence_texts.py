"""The licence files of an artifact, with their texts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0010_rights_to_upload")]

    operations = [
        migrations.AddField(
            model_name="artifact",
            name="licences",
            field=models.JSONField(db_default=[], default=list, help_text="Its licence files, as [path, text]."),
        ),
    ]
