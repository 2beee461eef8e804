"""Labels of files that retention rules pick, leave out and protect."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0029_labels")]

    operations = [
        migrations.AddField(
            model_name="retentionrule",
            name=name,
            field=models.JSONField(default=list, db_default=[], help_text=help_text),
        )
        for name, help_text in (
            ("labels", "Globs; empty: all."),
            ("without_labels", "Globs."),
            ("protected_labels", "Globs."),
        )
    ]
