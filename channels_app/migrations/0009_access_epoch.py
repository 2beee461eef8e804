"""A number that triggers raise where a right may have ended: access that is remembered for seconds ends with it."""

from django.db import migrations, models

from channels_app import access_epoch


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0008_one_name_in_all_capitals"),
        ("publishing", "0003_operations"),
        ("allauth_idp_oidc", "0003_client_allow_uri_wildcards"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessEpoch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveBigIntegerField(db_default=0)),
            ],
        ),
        migrations.RunPython(access_epoch.install, access_epoch.remove),
    ]
