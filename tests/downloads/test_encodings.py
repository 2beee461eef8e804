"""Content-Encoding of the JSON index files."""

import gzip
import json
from itertools import product
from pathlib import Path

import pytest
import zstandard
from django.http import HttpRequest
from django.test import Client
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.sizes import MIB
from publishing.downloads import encodings
from publishing.index import builds, repodata
from publishing.models import SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_files_old, received

JSON = ["/open/channeldata.json", *(f"/open/noarch/{name}" for name in ("repodata.json", "run_exports.json"))]
JSON.append("/open/noarch/current_repodata.json")
NEVER = [f"/open/noarch/{name}" for name in repodata.SUBDIR_FILES if not name.endswith(".json")]
NEVER += ["/open/noarch/demo-1.0-0.conda", "/open/notices.json"]
# conda (requests with zstandard), curl and mamba, Chromium, requests without extras, a browser of 2020
ACCEPTED = [
    ("gzip, deflate, br, zstd", "zstd"),
    ("deflate, gzip, br, zstd", "zstd"),
    ("ZSTD", "zstd"),
    ("*", "zstd"),
    ("gzip, deflate", "gzip"),
    ("gzip, deflate, br", "gzip"),
    ("gzip;q=1.0, zstd;q=0", "gzip"),
    ("*;q=0.5, zstd;q=0", "gzip"),
    ("identity", ""),
    ("gzip;q=0", ""),
    ("*;q=0", ""),
    ("br", ""),
    ("x-zstd, zstdx", ""),
    ("gzip;q=much", ""),
    (",;,=", ""),
    ("", ""),
]
MAX_WINDOW_BYTES = 8 * MIB  # RFC 9659: browsers refuse larger ones


@pytest.fixture
def channel(olga: User, tmp_path: Path) -> Channel:
    """Create a public channel `open` with one artifact and built indexes."""
    channel = make_channel("open", owner=olga, is_private=False)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(make_conda(tmp_path)))
    for subdir in ("noarch", ""):
        builds.build_until_current(SubdirIndex.objects.get(subdir=subdir).pk)
    make_files_old()
    return channel


@pytest.mark.parametrize(("accepted", "expected"), ACCEPTED)
def test_wanted_encoding_of_an_accept_encoding(accepted: str, expected: str) -> None:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_ENCODING"] = accepted
    assert encodings.best_encoding(request) == expected


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
def test_json_in_an_encoding_is_the_same_content(client: Client, channel: Channel, encoding: str) -> None:
    for path in JSON:
        plain, encoded = client.get(path), client.get(path, headers={"Accept-Encoding": encoding})
        content = encoded.getvalue()
        assert (encoded.status_code, encoded["Content-Encoding"]) == (200, encoding), path
        assert (encoded["Content-Type"], encoded["Content-Length"]) == ("application/json", str(len(content))), path
        decoded = zstandard.decompress(content) if encoding == "zstd" else gzip.decompress(content)
        assert decoded == plain.getvalue(), path
        assert json.loads(decoded), path
        assert plain["Vary"] == encoded["Vary"] == "Accept-Encoding", path
        assert plain.get("Content-Encoding") is None, path


def test_zstd_frame_has_a_window_that_browsers_take(client: Client, channel: Channel) -> None:
    frames = {path: client.get(path, headers={"Accept-Encoding": "zstd"}).getvalue() for path in JSON}
    windows = {path: zstandard.get_frame_parameters(frame).window_size for path, frame in frames.items()}
    assert [path for path, window_bytes in windows.items() if window_bytes > MAX_WINDOW_BYTES] == []


@pytest.mark.parametrize("accepted", ["zstd", "gzip", ""])
def test_each_encoding_has_a_tag_by_which_every_encoding_is_current(
    client: Client, channel: Channel, accepted: str
) -> None:
    for path in JSON:
        tags = [client.get(path, headers={"Accept-Encoding": each})["ETag"] for each in ("zstd", "gzip", "")]
        assert len(set(tags)) == 3, path
        for tag, asked in product(tags, ("{}", "W/{}", '"x", {}')):
            headers = {"Accept-Encoding": accepted, "If-None-Match": asked.format(tag)}
            answer = client.get(path, headers=headers)
            found = (answer.status_code, answer["ETag"], answer["Vary"])
            assert found == (304, tag, "Accept-Encoding"), (path, headers)
        other = {"Accept-Encoding": accepted, "If-None-Match": '"old-zstd", "old"'}
        assert client.get(path, headers=other).status_code == 200, path


@pytest.mark.parametrize("accepted", ["zstd", "gzip, zstd, br", "*"])
def test_compressed_file_never_encoded_again(client: Client, channel: Channel, accepted: str) -> None:
    for path in NEVER:
        answer = client.get(path, headers={"Accept-Encoding": accepted})
        assert (answer.status_code, answer.get("Content-Encoding"), answer.get("Vary")) == (200, None, None), path
        assert answer.getvalue() == client.get(path).getvalue(), path


@pytest.mark.parametrize("accepted", ["zstd", "gzip"])
def test_range_of_an_index_is_the_whole_plain_file(client: Client, channel: Channel, accepted: str) -> None:
    answer = client.get(JSON[0], headers={"Accept-Encoding": accepted, "Range": "bytes=0-1"})
    assert (answer.status_code, answer.get("Content-Encoding")) == (200, None)
    assert answer.getvalue() == client.get(JSON[0]).getvalue()


@pytest.mark.parametrize("encoding", ["zstd", "gzip"])
@pytest.mark.parametrize("how", ["stream", "accel", "redirect"])
def test_head_in_an_encoding_is_get_without_its_body(
    client: Client, channel: Channel, settings: Settings, encoding: str, how: str
) -> None:
    settings.HUB_DELIVERY = how
    for path in JSON:
        got, head = (ask(path, headers={"Accept-Encoding": encoding}) for ask in (client.get, client.head))
        for each in (got, head):
            del each.headers["X-Request-ID"]
        assert dict(got.headers) == dict(head.headers)
        assert got.headers["Content-Encoding"] == encoding


def test_large_json_is_not_compressed_for_each_request(
    client: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "GZIP_MAX_BYTES", 10)
    for path in JSON:
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert (answer.status_code, answer.get("Content-Encoding")) == (200, None)
        assert answer.getvalue() == client.get(path).getvalue()


def test_nginx_sends_the_frame_of_the_store(client: Client, channel: Channel, settings: Settings) -> None:
    settings.HUB_DELIVERY = "accel"
    answer = client.get("/open/noarch/repodata.json", headers={"Accept-Encoding": "zstd"})
    assert answer["X-Accel-Redirect"] == "/.files/folder/open/noarch/repodata.json.zst"
    assert (answer["Content-Encoding"], answer["Content-Type"]) == ("zstd", "application/json")
