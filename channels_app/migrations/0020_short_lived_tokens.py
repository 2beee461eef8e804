"""Words of the administration: a token of a trusted publisher is short-lived."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0019_plain_names")]

    operations = [
        migrations.AlterField(
            "apikey",
            "claims",
            models.JSONField(
                db_default={},
                default=dict,
                editable=False,
                help_text="Of a short-lived token: the verified claims of its identity token.",
            ),
        ),
        migrations.AlterField(
            "apikey",
            "kind",
            models.CharField(
                choices=[("personal", "Personal"), ("robot", "Robot"), ("minted", "Short-lived")],
                db_default="personal",
                default="personal",
                max_length=10,
            ),
        ),
    ]
