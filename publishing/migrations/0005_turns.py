"""Which names of an index are stale stands in their rows, and which index is next in its own."""

from django.db import migrations, models

# Portable: SQLite and PostgreSQL. What was built is made; what was not stays stale.
MADE = """UPDATE publishing_indexedname SET made = changed
WHERE changed <= (SELECT built FROM publishing_subdirindex AS its WHERE its.id = publishing_indexedname.index_id)"""


class Migration(migrations.Migration):
    dependencies = [("publishing", "0004_fragments_by_lz4")]

    operations = [
        migrations.AddField(
            model_name="indexedname",
            name="made",
            field=models.PositiveBigIntegerField(db_default=0, help_text="The `changed` that the index files contain."),
        ),
        migrations.AddField(
            model_name="indexedname",
            name="removes",
            field=models.BooleanField(
                db_default=False,
                help_text="A change since then takes something out: the name is built before others.",
            ),
        ),
        migrations.AddField(
            model_name="subdirindex",
            name="due_at",
            field=models.DateTimeField(help_text="Not to be built by a worker before.", null=True),
        ),
        migrations.AddField(
            model_name="subdirindex",
            name="turn_at",
            field=models.DateTimeField(help_text="When its last build began, however that ended.", null=True),
        ),
        migrations.RunSQL(MADE, migrations.RunSQL.noop),
        migrations.RemoveIndex(model_name="indexedname", name="names_by_change"),
        migrations.AddIndex(
            model_name="indexedname",
            index=models.Index(
                fields=["index", "-removes", "changed"],
                name="stale_names",
                condition=models.Q(("changed__gt", models.F("made"))),
            ),
        ),
    ]
