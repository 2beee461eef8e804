"""Users and teams can be invited, and into teams, too; invitations by mail stay as they are."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F


def name_who_was_asked(apps, schema_editor):
    apps.get_model("channels_app", "Invitation").objects.update(who=F("email"))


class Migration(migrations.Migration):
    dependencies = [("channels_app", "0016_about_documents")]

    operations = [
        migrations.RemoveConstraint(model_name="invitation", name="one_invitation_an_address"),
        migrations.AddField(
            model_name="invitation",
            name="who",
            field=models.CharField(
                default="",
                help_text="As the inviter named them: an e-mail address, a user name, or `team NAME`.",
                max_length=254,
            ),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="invitation",
            name="into",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="invitations",
                to="channels_app.team",
            ),
        ),
        migrations.AddField(
            model_name="invitation",
            name="user",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="asked",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="invitation",
            name="team",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="asked", to="channels_app.team"
            ),
        ),
        migrations.AddField(
            model_name="invitation",
            name="declined_at",
            field=models.DateTimeField(help_text="Until expires_at the same ones are not asked again.", null=True),
        ),
        migrations.AddField(
            model_name="invitation",
            name="mailed_at",
            field=models.DateTimeField(help_text="When the mail server took its mail.", null=True),
        ),
        migrations.AddField(
            model_name="invitation",
            name="mail_failure",
            field=models.CharField(blank=True, db_default="", help_text="Why it last did not.", max_length=200),
        ),
        migrations.AlterField(
            model_name="invitation",
            name="channel",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="invitations",
                to="channels_app.channel",
            ),
        ),
        migrations.AlterField(
            model_name="invitation",
            name="email",
            field=models.EmailField(
                blank=True, help_text="In small letters; empty where a user or a team was named.", max_length=254
            ),
        ),
        migrations.AlterField(
            model_name="invitation",
            name="role",
            field=models.CharField(
                blank=True,
                choices=[
                    ("viewer", "Viewer"),
                    ("contributor", "Contributor"),
                    ("maintainer", "Maintainer"),
                    ("owner", "Owner"),
                ],
                help_text="Empty where it is into a team.",
                max_length=20,
            ),
        ),
        migrations.RunPython(name_who_was_asked, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(fields=("channel", "who"), name="asked_once_for_a_channel"),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(fields=("into", "who"), name="asked_once_for_a_team"),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.CheckConstraint(
                condition=models.Q(("channel", None), ("into", None), _connector="XOR"),
                name="invitation_to_channel_or_team",
            ),
        ),
    ]
