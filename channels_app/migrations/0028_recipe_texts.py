"""The recipe of an artifact, with the texts of its files."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0027_retention_rules")]

    operations = [
        migrations.AddField(
            model_name="artifact",
            name="recipe",
            field=models.JSONField(null=True, help_text="Its recipe, as [path, text]; null for files of before."),
        ),
    ]
