"""Searching packages and channels: indexes on PostgreSQL, full-text tables on SQLite."""

from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations

from channels_app import search_tables


class Migration(migrations.Migration):
    dependencies = [
        ("channels_app", "0002_pages"),
    ]

    operations = [
        TrigramExtension(),  # does nothing on SQLite
        migrations.RunPython(search_tables.install, search_tables.remove),
    ]
