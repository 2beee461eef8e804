"""The index of a label has its folder as `subdir`: processes of the release before go on to find one index a subdir."""

from django.db import migrations, models

PLACE = "UPDATE publishing_subdirindex SET subdir = 'label/' || label || '/' || subdir WHERE label != ''"
PLATFORM = "UPDATE publishing_subdirindex SET subdir = substr(subdir, length(label) + 8) WHERE label != ''"


class Migration(migrations.Migration):
    dependencies = [("publishing", "0019_labels")]

    operations = [
        migrations.RemoveConstraint("subdirindex", "one_index_a_subdir_and_label"),
        migrations.AlterField(
            "subdirindex",
            "subdir",
            models.CharField(
                max_length=103, blank=True, help_text="Its folder below the channel: of a label, label/LABEL/SUBDIR."
            ),
        ),
        migrations.RunSQL(PLACE, PLATFORM),
        migrations.AddConstraint(
            "subdirindex", models.UniqueConstraint(fields=["channel", "subdir"], name="one_index_a_subdir")
        ),
    ]
