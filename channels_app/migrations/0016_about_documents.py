import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Cast, Length

from channels_app import about


def shorten(apps: Apps, _: BaseDatabaseSchemaEditor) -> None:
    """Move the long documents out of the rows that pages load."""
    Artifact = apps.get_model("channels_app", "Artifact")
    AboutDocument = apps.get_model("channels_app", "AboutDocument")
    size = Length(Cast("about_json", models.TextField()))
    long = Artifact.objects.annotate(size=size).filter(size__gt=about.STORED_MAX_BYTES // 4)
    for pk in list(long.values_list("pk", flat=True)):
        artifact = Artifact.objects.only("about_json").get(pk=pk)
        if not about.is_small(artifact.about_json):
            AboutDocument.objects.create(artifact=artifact, body=about.packed(artifact.about_json))
            artifact.about_json = about.stored(artifact.about_json)
            artifact.save(update_fields=["about_json"])


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0015_reserved_names"),
    ]

    operations = [
        migrations.AlterField(
            model_name="artifact",
            name="about_json",
            field=models.JSONField(default=dict, help_text="info/about.json, as much of it as is shown; see about.py."),
        ),
        migrations.CreateModel(
            name="AboutDocument",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("body", models.BinaryField(help_text="JSON, as one zstd frame.")),
                (
                    "artifact",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="about_document",
                        to="channels_app.artifact",
                    ),
                ),
            ],
        ),
        migrations.RunPython(shorten, migrations.RunPython.noop),
    ]
