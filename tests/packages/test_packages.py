"""Tests of package rows: their summary in lists, download counts, and logos."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, DailyDownloads, Package, User
from channels_app.packages import download_counts, metadata, packages
from publishing.removal import removal
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, received
from tests.threads import at_once, shared_database


def test_package_row_shows_its_newest_artifact(channel: Channel) -> None:
    make_artifact(channel, "lib", "1.9", about_json={"summary": "Old"}, index_json={"depends": ["gone"]})
    depends = ["python >=3.9", "libblas=*=*mkl", "numpy[version='>=1']", "foo!=1", "bar~=2", "baz>1"]
    about, index_json = {"summary": "New\n one "}, {"depends": depends}
    make_artifact(channel, "lib", "1.10", subdir="linux-64", about_json=about, index_json=index_json)
    make_artifact(channel, "lib", "1.11", removal="yanked")
    package = Package.objects.get()
    packages.refresh(package)
    assert (package.latest_version, package.summary, package.subdirs) == ("1.10", "New one", ["linux-64", "noarch"])
    assert package.updated_at == datetime.fromtimestamp(1_790_000_000, UTC)
    assert {row.name for row in package.dependencies.all()} == {"python", "libblas", "numpy", "foo", "bar", "baz"}


def test_package_row_without_artifacts_is_empty(channel: Channel) -> None:
    package = Package.objects.create(channel=channel, name="empty")
    packages.refresh(package)
    assert (package.latest_version, package.subdirs, package.updated_at) == ("", [], None)


def package_row(package: Package) -> tuple[object, ...]:
    now = Package.objects.get(pk=package.pk)
    needs = {row.name for row in now.dependencies.all()}
    return now.latest_version, now.summary, now.subdirs, now.updated_at, needs


def test_package_row_after_one_more_artifact_equals_a_full_refresh(channel: Channel) -> None:
    places = [("1.0", "noarch"), ("1.0", "linux-64"), ("0.9", "win-64"), ("1.9", "linux-64"), ("1.10", "noarch")]
    for number, (version, subdir) in enumerate([*places, ("1.010", "osx-64"), ("1.10rc1", "noarch")]):
        artifact = make_artifact(
            channel,
            "lib",
            version,
            subdir=subdir,
            about_json={"summary": f"{version} of {subdir}"},
            index_json={"depends": [f"need-{number}"]},
            indexed_timestamp=1_790_000_000_000 + number,
        )
        packages.include(artifact)
        included = package_row(artifact.package)
        packages.refresh(artifact.package)
        assert included == package_row(artifact.package)
        assert included[2:4] != ([], None)


def test_many_files_of_a_version_cost_no_more_queries(
    channel: Channel, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        artifact = make_artifact(channel, "lib", "1.0", str(number))
    with django_assert_max_num_queries(5):
        packages.refresh(artifact.package)


def test_an_upload_fills_its_package_and_its_files(channel: Channel, olga: User, tmp_path: Path) -> None:
    path = make_conda(tmp_path, files={"bin/tool": b"12345", "share/x": b""})
    artifact = upload.publish(actor=Actor(user=olga), channel=channel, received=received(path)).artifact
    artifact.refresh_from_db()
    assert (artifact.files, artifact.file_count) == ([["bin/tool", 5], ["share/x", 0]], 2)
    assert Package.objects.get().latest_version == "1.0"


@pytest.mark.django_db(transaction=True)
def test_of_versions_that_come_at_once_the_newest_is_the_latest(channel: Channel, olga: User, tmp_path: Path) -> None:
    arrived = [received(make_conda(tmp_path, version=str(version))) for version in range(1, 9)]
    publish = partial(upload.publish, actor=Actor(user=olga), channel=channel)
    publish(received=arrived[0])
    with shared_database(tmp_path):
        at_once(*(partial(publish, received=each) for each in arrived[1:]))
        [package] = at_once(lambda: Package.objects.get())
        assert isinstance(package, Package)
        assert package.latest_version == "8"


@pytest.mark.django_db(transaction=True)
def test_concurrent_yank_hides_no_newer_version(channel: Channel, olga: User, tmp_path: Path) -> None:
    actor = Actor(user=olga)
    arrived = [received(make_conda(tmp_path, version=str(version))) for version in range(1, 9)]
    publish = partial(upload.publish, actor=actor, channel=channel)
    old = [publish(received=each).artifact for each in arrived[:-1]]
    with shared_database(tmp_path):
        yanks = [partial(removal.yank, actor=actor, artifact=artifact, reason="broken") for artifact in old]
        at_once(partial(publish, received=arrived[-1]), *yanks)
        [package] = at_once(lambda: Package.objects.get())
        assert isinstance(package, Package)
        assert package.latest_version == "8"


@pytest.fixture
def public_artifact(olga: User, tmp_path: Path) -> Artifact:
    channel = make_channel("open", owner=olga, is_private=False)
    return upload.publish(actor=Actor(user=olga), channel=channel, received=received(make_conda(tmp_path))).artifact


def test_downloads_are_counted_per_file_and_day(client: Client, public_artifact: Artifact) -> None:
    url = "/open/noarch/demo-1.0-0.conda"
    for headers in ({}, {}, {"range": "bytes=0-9"}):
        b"".join(client.get(url, headers=headers).streaming_content)  # type: ignore[attr-defined]
    client.head(url)
    client.get(url, headers={"range": "bytes=10-19"})
    client.get(url, headers={"if-none-match": f'"{public_artifact.sha256}"'})
    client.get("/open/noarch/repodata.json")
    assert not DailyDownloads.objects.exists()
    download_counts.write()
    download_counts.write()
    row = DailyDownloads.objects.get()
    assert (row.artifact, row.day, row.count) == (public_artifact, datetime.now(UTC).date(), 3)
    client.get(url)
    download_counts.write()
    public_artifact.refresh_from_db()
    assert (DailyDownloads.objects.get().count, public_artifact.download_count) == (4, 4)
    assert Package.objects.get().download_count == 4


def test_counting_costs_a_download_no_query(
    client: Client, public_artifact: Artifact, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        client.get("/open/noarch/demo-1.0-0.conda")


def test_download_of_a_deleted_artifact_is_not_counted(db: None) -> None:
    download_counts.count(10**9)
    download_counts.write()
    assert not DailyDownloads.objects.exists()


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("numpy", "numpy"),
        ("numpy>=1.21,<3", "numpy"),
        ("PyYAML >=6", "pyyaml"),
        ("conda-forge::numpy 1.*", "numpy"),
        ("conda-forge/label/dev::numpy", "numpy"),
        ("https://example.org/demo::numpy =1", "numpy"),
        ("numpy[version='>=1', channel='a::b']", "numpy"),
        ("", ""),
    ],
)
def test_name_of_spec_is_the_name_as_packages_have_it(spec: str, name: str) -> None:
    assert packages.name_of(spec) == name


@pytest.mark.parametrize("versions", [("1.0", "1.0.0"), ("1.0RC1", "1.0rc1")])
def test_latest_version_of_equal_ones_is_always_the_same(versions: tuple[str, str]) -> None:
    assert packages.latest_version(versions) == packages.latest_version(reversed(versions)) == max(versions)


def test_split_spec_keeps_channel_and_demands() -> None:
    assert metadata.split_spec("conda-forge::PyYAML >=6") == ("pyyaml", "conda-forge:: >=6")
    assert metadata.split_spec("python >=3.9") == ("python", ">=3.9")


def test_an_upload_that_depends_on_a_name_longer_than_any_package_has(
    channel: Channel, olga: User, tmp_path: Path
) -> None:
    """Check a name that is too long for a row in PostgreSQL."""
    path = make_conda(tmp_path, depends=["a" * 64, "b" * 65, f"{'c' * 1000} >=1"])
    artifact = upload.publish(actor=Actor(user=olga), channel=channel, received=received(path)).artifact
    assert {row.name for row in artifact.package.dependencies.all()} == {"a" * 64}
