"""User names differ by more than capitals: signing in ignores those."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Lower


def check(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    users = apps.get_model("channels_app", "User").objects.annotate(lower=Lower("username"))
    twice = users.values("lower").annotate(count=models.Count("pk")).filter(count__gt=1).values_list("lower", flat=True)
    if names := sorted(twice):
        raise RuntimeError(
            f"Several users are called {', '.join(names)}, in different capitals; expected one each. "
            "Rename the others with the release before, then migrate again."
        )


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0007_cache"),
    ]

    operations = [
        migrations.RunPython(check, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                Lower("username"),
                name="one_name_in_all_capitals",
                violation_error_message="Somebody has this name, in these or other capitals.",
            ),
        ),
        migrations.AlterField(
            model_name="team",
            name="group",
            field=models.CharField(
                blank=True,
                help_text="As PROVIDER:GROUP. Whoever signs in by that provider of OpenID Connect with this group is in the team, and only for as long.",
                max_length=200,
            ),
        ),
    ]
