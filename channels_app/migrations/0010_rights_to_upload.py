"""What narrows the right to upload ends remembered decisions, too."""

from django.db import migrations

from channels_app import access_epoch


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0009_access_epoch"),
        ("publishing", "0004_fragments_by_lz4"),
    ]

    operations = [migrations.RunPython(access_epoch.install, migrations.RunPython.noop)]
