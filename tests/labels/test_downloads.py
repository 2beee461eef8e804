"""Files of a label: its URLs answer as those of a channel, with the same access."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, DailyDownloads, User
from channels_app.packages import download_counts
from publishing.index import builds, repodata
from publishing.labels import labels
from publishing.models import IndexedName, SubdirIndex
from publishing.removal import removal
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_files_old, make_key, received

DEV = "/open/label/dev"
FILE = "demo-1.0-0.conda"
SUBDIR_FILES = [*repodata.SUBDIR_FILES, *repodata.UNPATCHED_FILES]


@pytest.fixture
def content(olga: User, tmp_path: Path) -> bytes:
    """Create the public channel `open` with a file that has only the label `dev`. Return the bytes of the file."""
    channel = make_channel("open", owner=olga, is_private=False)
    path = make_conda(tmp_path)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(path), labels=("dev",))
    builds.open_channel(channel)
    builds.build_channel(channel)
    make_files_old()
    return path.read_bytes()


def body(answer: Any) -> bytes:
    return answer.getvalue() if answer.streaming else answer.content  # type: ignore[no-any-return]


def get(client: Client, path: str, **headers: str) -> tuple[int, bytes]:
    answer = client.get(path, headers=headers)
    return answer.status_code, body(answer)


@pytest.mark.usefixtures("content")
def test_label_lists_its_files_and_the_channel_does_not(client: Client) -> None:
    for name in SUBDIR_FILES:
        status, found = get(client, f"{DEV}/noarch/{name}")
        assert status == 200
        assert get(client, f"/open/label/main/noarch/{name}") == get(client, f"/open/noarch/{name}") != (status, found)
    assert json.loads(get(client, f"{DEV}/noarch/repodata.json")[1])["packages.conda"].keys() == {FILE}
    assert json.loads(get(client, "/open/noarch/repodata.json")[1])["packages.conda"] == {}


def test_file_of_a_label_has_the_bytes_and_headers_of_its_own_address(client: Client, content: bytes) -> None:
    answers = [client.get(f"{folder}/noarch/{FILE}") for folder in (DEV, "/open", "/open/label/main")]
    assert [body(answer) for answer in answers] == [content] * 3
    names = ("ETag", "Last-Modified", "Cache-Control", "Content-Length")
    assert len({tuple(answer.headers[name] for name in names) for answer in answers}) == 1
    assert get(client, f"{DEV}/noarch/{FILE}", **{"If-None-Match": answers[0].headers["ETag"]})[0] == 304
    assert get(client, f"{DEV}/noarch/{FILE}", Range="bytes=0-3") == (206, content[:4])


@pytest.mark.usefixtures("content")
def test_download_through_a_label_counts_for_the_file(client: Client) -> None:
    body(client.get(f"{DEV}/noarch/{FILE}"))
    download_counts.write()
    assert DailyDownloads.objects.get().count == 1


@pytest.mark.usefixtures("content")
def test_file_without_the_label_is_missing_below_it(client: Client, olga: User) -> None:
    labels.create(actor=Actor(user=olga), channel=Channel.objects.get(name="open"), name="rc")
    for path in (f"/open/label/rc/noarch/{FILE}", f"/open/label/rc/noarch/{FILE}.sigs", f"{DEV}/noarch/no-1-0.conda"):
        assert get(client, path)[0] == 404


@pytest.mark.usefixtures("content")
def test_subdir_without_files_of_the_label_answers_as_an_empty_one(client: Client) -> None:
    for name in SUBDIR_FILES:
        assert get(client, f"{DEV}/linux-64/{name}") == get(client, f"/open/linux-64/{name}")
    assert get(client, f"{DEV}/made-up/repodata.json")[0] == 404


@pytest.mark.usefixtures("content")
def test_unknown_label_is_missing(client: Client) -> None:
    for path in ("noarch/repodata.json", f"noarch/{FILE}", "noarch/repodata_shards.msgpack.zst"):
        assert get(client, f"/open/label/none/{path}")[0] == 404
    assert get(client, "/open/label/dev/channeldata.json")[0] == 404
    shard = IndexedName.objects.get(index__label="dev").shard_sha256
    for label in ("none", "..", "%2e%2e", "DEV"):
        for path in ("notices.json", f"noarch/shards/{shard}.msgpack.zst", "noarch/repodata.json"):
            assert get(client, f"/open/label/{label}/{path}")[0] == 404, (label, path)
    assert get(client, "/open/label/dev/label/dev/noarch/repodata.json")[0] == 404


@pytest.mark.usefixtures("content")
def test_label_has_the_notices_of_its_channel(client: Client) -> None:
    assert get(client, f"{DEV}/notices.json") == get(client, "/open/notices.json")


@pytest.mark.usefixtures("content")
def test_shard_of_a_label_is_below_it(client: Client) -> None:
    shard = IndexedName.objects.get(index__label="dev").shard_sha256
    assert get(client, f"{DEV}/noarch/shards/{shard}.msgpack.zst")[0] == 200
    assert get(client, f"/open/noarch/shards/{shard}.msgpack.zst")[0] == 404


@pytest.mark.usefixtures("content")
def test_index_and_file_of_a_label_cost_as_many_queries_as_those_of_the_channel(client: Client) -> None:
    for path in ("noarch/repodata.json", f"noarch/{FILE}"):
        counts = []
        for folder in ("/open", DEV):
            with CaptureQueriesContext(connection) as captured:
                assert get(client, f"{folder}/{path}")[0] == 200
            counts.append(len(captured))
        assert counts[0] == counts[1], path


@pytest.mark.usefixtures("content")
def test_index_of_a_label_is_conditional_and_compressed(client: Client) -> None:
    etag, url = f'"{SubdirIndex.objects.get(label="dev").etag}"', f"{DEV}/noarch/repodata.json"
    assert get(client, url, **{"If-None-Match": etag})[0] == 304
    zipped = client.get(url, headers={"Accept-Encoding": "zstd"})
    assert json.loads(zstandard.decompress(body(zipped)))["packages.conda"].keys() == {FILE}


def test_label_of_a_hidden_channel_is_as_missing_as_one_of_none(client: Client, olga: User, content: bytes) -> None:
    Channel.objects.update(is_private=True)
    for path in ("noarch/repodata.json", f"noarch/{FILE}", "notices.json"):
        hidden, missing = (client.get(f"/{name}/label/dev/{path}") for name in ("open", "gone"))
        assert (hidden.status_code, missing.status_code) == (401, 401)
        assert hidden.content.replace(b"open", b"gone") == missing.content
    key = make_key(olga)
    assert get(client, f"/t/{key}{DEV}/noarch/{FILE}") == (200, content)
    assert get(client, f"/t/{key}{DEV}/noarch/repodata.json")[0] == 200


@pytest.mark.usefixtures("content")
def test_yanked_and_deleted_files_answer_below_a_label_as_in_the_channel(client: Client, olga: User) -> None:
    removal.yank(actor=Actor(user=olga), artifact=Artifact.objects.get(), reason="")
    assert get(client, f"{DEV}/noarch/{FILE}")[0] == 200
    removal.delete(actor=Actor(user=olga), artifact=Artifact.objects.get(), reason="")
    assert get(client, f"{DEV}/noarch/{FILE}")[0] == get(client, f"/open/noarch/{FILE}")[0] == 404


@pytest.mark.usefixtures("content")
def test_nginx_sends_files_of_a_label_from_their_own_key(client: Client, settings: Settings) -> None:
    settings.HUB_DELIVERY = "accel"
    for path, key in (
        (f"{DEV}/noarch/{FILE}", f"open/noarch/{FILE}"),
        (f"{DEV}/noarch/repodata.json", "open/label/dev/noarch/repodata.json"),
    ):
        assert client.get(path).headers["X-Accel-Redirect"] == f"/.files/folder/{key}"
