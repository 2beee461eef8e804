"""Packages from before get their sizes, some in each transaction. The nightly verification corrects what is missed."""

from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps
from django.db.models.functions import Coalesce

AT_ONCE = 500


def fill(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    packages = apps.get_model("channels_app", "Package").objects.order_by("pk")
    stored = apps.get_model("channels_app", "Artifact").objects.filter(package=models.OuterRef("pk"), is_purged=False)
    total = stored.order_by().values("package").values(total=models.Sum("size_bytes"))
    after = 0
    while batch := list(packages.filter(pk__gt=after).values_list("pk", flat=True)[:AT_ONCE]):
        packages.filter(pk__in=batch).order_by().update(size_bytes=Coalesce(models.Subquery(total), 0))
        after = batch[-1]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("channels_app", "0024_package_sizes")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
