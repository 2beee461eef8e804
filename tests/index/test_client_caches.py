"""Cache-Control, ETag and Last-Modified as clients read them: the next command of a client sees an upload."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils.http import http_date

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from publishing.index import builds, repodata
from publishing.models import SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, received

ARTIFACT = "/open/noarch/demo-1.0-0.conda"
INDEXES = [f"/open/noarch/{name}" for name in repodata.SUBDIR_FILES]
CHANGING = [*INDEXES, "/open/linux-64/repodata.json", *(f"/open/{name}" for name in repodata.CHANNEL_FILES)]
BUILT = datetime(2026, 5, 1, 12, 0, 0, 900_000, tzinfo=UTC)


@pytest.fixture
def channel(olga: User, tmp_path: Path) -> Channel:
    """Create a public channel `open` with one artifact and indexes that were built at BUILT."""
    channel = make_channel("open", owner=olga, is_private=False)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(make_conda(tmp_path)))
    for subdir in ("noarch", ""):
        builds.build_until_current(SubdirIndex.objects.get(subdir=subdir).pk)
    SubdirIndex.objects.update(built_at=BUILT)
    Artifact.objects.update(indexed_timestamp=int(BUILT.timestamp() * 1000))
    Channel.objects.update(created_at=BUILT)
    return channel


def mamba_takes_its_copy(cache_control: str, age_s: int) -> bool:
    """Tell whether mamba uses its cached copy.

    As in libmamba 2.8.1, SubdirIndexLoader::load_cache: `age < max-age`; the default of max-age is an hour.
    """
    match = re.search(r"max-age=(\d+)", cache_control)
    return age_s < (int(match[1]) if match else 60 * 60)


@pytest.mark.parametrize("is_private", [False, True])
def test_changing_file_mamba_asks_each_time(client: Client, channel: Channel, is_private: bool) -> None:
    Channel.objects.update(is_private=is_private)
    client.force_login(User.objects.get(username="olga"))
    caching = {path: client.get(path)["Cache-Control"] for path in CHANGING}
    assert [path for path in CHANGING if mamba_takes_its_copy(caching[path], age_s=0)] == []
    assert caching == dict.fromkeys(CHANGING, f"{'private' if is_private else 'public'}, no-cache, max-age=0")


def test_package_that_may_be_overwritten_asked_each_time(client: Client, channel: Channel) -> None:
    assert mamba_takes_its_copy(client.get(ARTIFACT)["Cache-Control"], age_s=86_400)
    Channel.objects.update(allow_overwrite=True)
    assert not mamba_takes_its_copy(client.get(ARTIFACT)["Cache-Control"], age_s=0)


def test_last_modified_of_every_file_is_that_of_its_content(client: Client, channel: Channel) -> None:
    paths = [ARTIFACT, *CHANGING]
    stated = {path: client.get(path)["Last-Modified"] for path in paths}
    assert stated == dict.fromkeys(paths, http_date(int(BUILT.timestamp())))


def test_last_modified_within_the_second_of_the_build_is_omitted(client: Client, channel: Channel) -> None:
    SubdirIndex.objects.update(built_at=datetime.now(UTC) + timedelta(seconds=2))
    assert "Last-Modified" not in client.get(INDEXES[0])


def test_last_modified_of_an_older_current_repodata_is_omitted(client: Client, channel: Channel) -> None:
    SubdirIndex.objects.update(current_etag="older")
    answer = client.get("/open/noarch/current_repodata.json", headers={"If-Modified-Since": http_date()})
    assert (answer.status_code, answer.get("Last-Modified")) == (200, None)


@pytest.mark.parametrize(("seconds", "status"), [(-86_400, 200), (-1, 200), (0, 304), (1, 304), (86_400, 304)], ids=str)
def test_if_modified_since_by_seconds_from_the_change(
    client: Client, channel: Channel, seconds: int, status: int
) -> None:
    since = {"If-Modified-Since": http_date((BUILT + timedelta(seconds=seconds)).timestamp())}
    paths = [ARTIFACT, *INDEXES]
    answers = {path: client.get(path, headers=since) for path in paths}
    tags = {path: client.get(path)["ETag"] for path in paths}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(paths, status)
    assert {path: answer["ETag"] for path, answer in answers.items()} == tags


@pytest.mark.parametrize("since", ["", "yesterday", "Fri, 32 May 2026 10:00:00 GMT", "Fri, 01 May 2099 10:00:00 GMT"])
def test_if_modified_since_that_is_none_or_in_the_future_is_ignored(
    client: Client, channel: Channel, since: str
) -> None:
    assert client.get(INDEXES[0], headers={"If-Modified-Since": since}).status_code == 200


@pytest.mark.parametrize(("tag", "status"), [('"other"', 200), ("*", 304)])
def test_if_none_match_goes_before_if_modified_since(client: Client, channel: Channel, tag: str, status: int) -> None:
    headers = {"If-None-Match": tag, "If-Modified-Since": http_date()}
    assert client.get(INDEXES[0], headers=headers).status_code == status


@pytest.mark.parametrize(("seconds", "status"), [(0, 206), (-1, 200), (1, 200)])
def test_if_range_by_time_must_be_exact(client: Client, channel: Channel, seconds: int, status: int) -> None:
    time = http_date((BUILT + timedelta(seconds=seconds)).timestamp())
    assert client.get(ARTIFACT, headers={"Range": "bytes=0-1", "If-Range": time}).status_code == status
