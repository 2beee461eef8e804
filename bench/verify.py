"""Verification of a large channel: `python -m bench.verify [--packages N] [--s3]`.

N artifacts of a few bytes, 10 versions per name. It measures the time of `manage.py verify` without and with --hash,
and its memory. The store is a folder, or a bucket of moto; the database is SQLite or DATABASE_URL.
"""
# ruff: noqa: E402  (models can be imported only after django.setup())

import argparse
import hashlib
import os
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext

import django

import tests.environment  # noqa: F401  (its own data folder)

os.environ |= {"DJANGO_SETTINGS_MODULE": "hub.settings", "HUB_INDEX_PAUSE_MS": "1"}
django.setup()

from django.conf import settings
from django.core.management import call_command

from channels_app.models import Artifact, Channel, Package
from hub.storage import store
from publishing.index import builds, marks
from publishing.verification import verification
from tests.builders import make_artifact, make_channel
from tests.stores import moto_server

VERSIONS = 10
CONTENT = b"a few bytes"
DEPENDS = ["python >=3.9", "numpy >=1.24,<3", "libblas *", "typing_extensions >=4.0"]


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def fill(channel: Channel, count: int) -> None:
    """Create all rows as copies of one real artifact."""
    model = make_artifact(channel, "package-0", "1.0", index_json={"depends": DEPENDS})
    packages = [Package(channel=channel, name=f"package-{number}") for number in range(1, count // VERSIONS)]
    packages = [model.package, *Package.objects.bulk_create(packages)]
    artifacts = [artifact(model, package, version) for package in packages for version in range(VERSIONS)]
    model.delete()
    Artifact.objects.bulk_create(artifacts, batch_size=1000)
    for each in artifacts:
        store().put(f"{channel}/noarch/{each.file_name}", CONTENT)
    marks.mark_stale(channel, "noarch", [package.name for package in packages])
    builds.build_channel(channel)
    builds.build_channel(channel)


def artifact(model: Artifact, package: Package, version: int) -> Artifact:
    facts = {"name": package.name, "version": f"1.{version}"}
    values = {field.name: getattr(model, field.name) for field in Artifact._meta.fields if field.name != "id"}
    changed = {
        "package": package,
        "version": facts["version"],
        "file_name": f"{package.name}-1.{version}-0.conda",
        "index_json": model.index_json | facts,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size_bytes": len(CONTENT),
    }
    return Artifact(**values | changed)


def run(count: int) -> None:
    channel = make_channel()
    fill(channel, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for is_hashed in (False, True):
        found: list[object] = []
        took = seconds(lambda: found.append(verification.verify(channel, is_hashed=is_hashed)))  # noqa: B023
        print(f"{count} packages{', every byte' if is_hashed else ''}: {took:.1f} s; {found[0]}"[:200])
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"memory beyond that of filling and building: {more} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=int, default=10_000)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    with moto_server() if options.s3 else nullcontext() as server:
        if server:
            backend = {"BACKEND": "hub.storage.s3.S3Store", "OPTIONS": server.options()}
            settings.STORAGES = settings.STORAGES | {"channels": backend}
        run(options.packages)


if __name__ == "__main__":
    main()
