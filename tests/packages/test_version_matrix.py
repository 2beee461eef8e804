"""Tests of the matrix of versions and subdirs: counted by the database, and no larger than a page."""

from collections.abc import Iterable
from copy import copy

import pytest
from django.test import Client

from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import packages, version_matrix
from tests.builders import make_artifact, make_channel
from tests.packages.test_answers_bounded import ANSWER_MAX_BYTES, MEMORY_MAX_BYTES, measured

pytestmark = pytest.mark.django_db

Place = tuple[str, str, str]  # version, subdir, build


@pytest.fixture
def channel() -> Channel:
    return make_channel("crowd", is_private=False)


def publish(channel: Channel, places: Iterable[Place]) -> Package:
    """Create artifacts of one package in one query."""
    first = make_artifact(channel, "pack", version="0.1")
    made = []
    for version, subdir, build in places:
        artifact = copy(first)
        artifact.pk, artifact._state = None, type(first._state)()
        artifact.version, artifact.subdir, artifact.build = version, subdir, build
        artifact.file_name = f"pack-{version}-{build}.conda"
        made.append(artifact)
    Artifact.objects.bulk_create(made, batch_size=500)
    packages.refresh(first.package)
    return first.package


CROWDS = {
    "cells": [(f"{version}.0", f"linux-{number}", "0") for version in range(60) for number in range(60)],
    "builds": [("1.0", "noarch", f"b{number}") for number in range(5000)],
    "subdirs": [("1.0", f"osx-{number}", "0") for number in range(4000)],
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_pages_of_a_crowded_package_are_bounded(client: Client, channel: Channel, crowd: str) -> None:
    publish(channel, CROWDS[crowd])
    paths = (
        "/channels/crowd/packages/pack",
        "/channels/crowd/packages/pack?versions=all",
        "/channels/crowd/packages/pack/1.0",
        "/api/v1/channels/crowd/packages/pack/versions/1.0",
        "/channels/crowd",
        "/search?q=pack",
    )
    for path in paths:
        answer, memory, _ = measured(client, path)
        assert answer.status_code == 200
        assert len(answer.content) <= ANSWER_MAX_BYTES, path
        assert memory <= MEMORY_MAX_BYTES, (path, memory)


def test_links_of_a_page_repeat_no_long_query(client: Client, channel: Channel) -> None:
    places = [(f"{version}.0", f"linux-{number}") for version in range(40) for number in range(40)]
    publish(channel, [(*place, build) for place in places for build in ("0", "1")])
    path = "/channels/crowd/packages/pack?versions=all&dependents=all"
    assert 'href="/channels/crowd/packages/pack/7.0#files"' in client.get(path).content.decode()
    assert len(client.get(path + "&x=" + "'" * 3900).content) <= ANSWER_MAX_BYTES


def test_first_subdirs_and_versions_are_shown_and_the_rest_counted(client: Client, channel: Channel) -> None:
    package = publish(channel, CROWDS["cells"])
    versions = [f"{number}.0" for number in reversed(range(60))]
    matrix = version_matrix.of(package.artifacts.all(), versions)
    assert (len(matrix.subdirs), matrix.more_subdirs) == (40, 20)
    assert [row.version for row in matrix.rows] == versions[:40]
    page = client.get("/channels/crowd/packages/pack?versions=all").content.decode()
    assert "21 more platforms" in page
    assert ">linux &times;60</span>" in client.get("/channels/crowd").content.decode()


def test_a_cell_knows_its_newest_build_and_how_many_there_are(channel: Channel) -> None:
    for number in (0, 2, 1):
        make_artifact(channel, "pack", build=f"b{number}", indexed_timestamp=1000 + number)
    Artifact.objects.filter(build="b1").update(build_number=7)
    make_artifact(channel, "pack", subdir="linux-64", indexed_timestamp=5000)
    make_artifact(channel, "pack", version="2.0", removal=Removal.YANKED)
    matrix = version_matrix.of(Artifact.objects.all(), ["2.0", "1.0"])
    assert matrix.subdirs == ["noarch", "linux-64"]
    first, second = matrix.rows
    assert (first.version, first.is_out, first.cells[1]) == ("2.0", True, None)
    noarch, linux = second.cells
    assert noarch is not None
    assert linux is not None
    assert (noarch.build, noarch.builds, linux.builds) == ("b1", 3, 1)  # type: ignore[attr-defined]
    assert (second.indexed_timestamp, second.is_out) == (5000, False)


def test_a_version_is_out_where_each_of_its_files_is(channel: Channel) -> None:
    for number in range(2):
        make_artifact(channel, "pack", build=f"b{number}", removal=Removal.YANKED)
    artifacts = Artifact.objects.all()
    assert version_matrix.of(artifacts, ["1.0"]).rows[0].is_out
    artifacts.filter(build="b0").update(removal=Removal.NONE)
    assert not version_matrix.of(artifacts, ["1.0"]).rows[0].is_out


def test_a_package_without_versions_has_an_empty_matrix() -> None:
    assert version_matrix.of(Artifact.objects.all(), []) == version_matrix.Matrix([], 0, [])
