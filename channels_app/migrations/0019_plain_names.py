"""Rename columns, and the table of the access revision. The database keeps indexes and constraints at a rename."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from channels_app.access import revision
from channels_app.migrations import _access_epoch

LISTED = {
    "listed_by_subdir": ["channel", "subdir", "package"],
    "listed_by_time": ["channel", "-indexed_timestamp"],
}


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0018_plain_help_texts"),
        ("publishing", "0009_fragments_in_parts"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(_access_epoch.remove, _access_epoch.install),
        migrations.RenameModel("AccessEpoch", "AccessRevision"),
        migrations.RunPython(revision.install, revision.remove),
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.RemoveIndex("artifact", name) for name in LISTED]
        ),
        migrations.RenameField("artifact", "set_aside_reason", "quarantine_reason"),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddIndex(
                    "artifact",
                    models.Index(fields=fields, name=name, condition=models.Q(removal="", quarantine_reason="")),
                )
                for name, fields in LISTED.items()
            ]
        ),
        migrations.RemoveConstraint("invitation", "asked_once_for_a_channel"),
        migrations.RemoveConstraint("invitation", "asked_once_for_a_team"),
        migrations.RemoveConstraint("invitation", "invitation_to_channel_or_team"),
        migrations.RenameField("invitation", "who", "invitee_name"),
        migrations.RenameField("invitation", "into", "to_team"),
        migrations.AlterField(
            "invitation",
            "user",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="received_invitations",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            "invitation",
            "team",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="received_invitations",
                to="channels_app.team",
            ),
        ),
        migrations.AddConstraint(
            "invitation",
            models.UniqueConstraint(fields=("channel", "invitee_name"), name="one_invitation_to_a_channel"),
        ),
        migrations.AddConstraint(
            "invitation",
            models.UniqueConstraint(fields=("to_team", "invitee_name"), name="one_invitation_to_a_team"),
        ),
        migrations.AddConstraint(
            "invitation",
            models.CheckConstraint(
                condition=models.Q(channel=None) ^ models.Q(to_team=None), name="invitation_to_channel_or_team"
            ),
        ),
    ]
