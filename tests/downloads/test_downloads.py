"""Downloads from a channel: lookup, caching, ranges and errors."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.access.permissions import Actor
from channels_app.identifiers import KNOWN_SUBDIRS
from channels_app.models import Channel, User
from hub.storage import StoreError
from publishing.downloads import delivery
from publishing.index import builds, repodata
from publishing.models import IndexedName, SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_files_old, make_key, received

ARTIFACT = "/open/noarch/demo-1.0-0.conda"
EACH_TIME = "public, no-cache, max-age=0"
EVERY_SUBDIR_FILE = [*repodata.SUBDIR_FILES]


@pytest.fixture
def content(olga: User, tmp_path: Path) -> bytes:
    """Create a public channel `open` with one artifact and a built index. Return the artifact's bytes."""
    channel = make_channel("open", owner=olga, is_private=False)
    path = make_conda(tmp_path)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(path))
    builds.open_channel(channel)
    for subdir in ("noarch", ""):
        builds.build_until_current(SubdirIndex.objects.get(subdir=subdir).pk)
    make_files_old()
    return path.read_bytes()


def body(answer: Any) -> bytes:
    return answer.getvalue() if answer.streaming else answer.content  # type: ignore[no-any-return]


def get(client: Client, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    answer = client.get(path, headers=headers)
    return answer.status_code, body(answer), headers_of(answer)


def headers_of(answer: Any) -> dict[str, str]:
    """Return all headers except the request's id, which is different each time."""
    return {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}


@pytest.mark.parametrize("subdir", KNOWN_SUBDIRS)
def test_a_channel_has_every_file_in_every_known_subdir_before_anything_is_built(
    client: Client, olga: User, subdir: str
) -> None:
    make_channel("open", owner=olga, is_private=False)
    for name in EVERY_SUBDIR_FILE:
        status, content, headers = get(client, f"/open/{subdir}/{name}")
        assert (status, headers["ETag"]) == (200, '"empty"')
        assert "Content-Encoding" not in headers
        if name.endswith(".zst"):
            assert zstandard.get_frame_parameters(content).content_size > 0
            content = zstandard.decompress(content)
        if "json" in name:
            assert json.loads(content)["info"]["subdir"] == subdir
    assert json.loads(get(client, "/open/channeldata.json")[1])["packages"] == {}
    assert json.loads(get(client, "/open/notices.json")[1]) == {"notices": []}


def test_built_files_come_from_the_store_with_the_etag_of_their_build(client: Client, content: bytes) -> None:
    row = SubdirIndex.objects.get(subdir="noarch")
    for name in EVERY_SUBDIR_FILE:
        status, found, headers = get(client, f"/open/noarch/{name}")
        assert (status, headers["ETag"], headers["Cache-Control"]) == (200, f'"{row.etag}"', EACH_TIME)
        assert headers["Content-Length"] == str(len(found))
    assert json.loads(get(client, "/open/noarch/repodata.json")[1])["packages.conda"].keys() == {"demo-1.0-0.conda"}
    shard = IndexedName.objects.get(index=row).shard_sha256
    status, _, headers = get(client, f"/open/noarch/shards/{shard}.msgpack.zst")
    assert (status, headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


def test_an_artifact_is_its_bytes_and_never_changes(client: Client, content: bytes) -> None:
    status, found, headers = get(client, ARTIFACT)
    assert (status, found) == (200, content)
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert (headers["Accept-Ranges"], headers["Content-Type"]) == ("bytes", "application/octet-stream")
    Channel.objects.update(allow_overwrite=True)
    assert get(client, ARTIFACT)[2]["Cache-Control"] == EACH_TIME


def test_private_bytes_are_for_private_caches(client: Client, content: bytes, olga: User) -> None:
    Channel.objects.update(is_private=True)
    secret = make_key(olga)
    for path in (ARTIFACT, "/open/noarch/repodata.json"):
        headers = get(client, path, authorization=f"Bearer {secret}")[2]
        assert headers["Cache-Control"].startswith("private, ")
        assert {"Authorization", "X-API-Key", "X-JFrog-Art-Api", "Cookie"} <= set(headers["Vary"].split(", "))


def test_matching_etag_gets_304(client: Client, content: bytes) -> None:
    for path in (ARTIFACT, "/open/noarch/repodata.json.zst", "/open/linux-64/repodata.json"):
        headers = get(client, path)[2]
        for tag in (headers["ETag"], f"W/{headers['ETag']}", f'"other", {headers["ETag"]}', "*"):
            status, found, again = get(client, path, if_none_match=tag)
            assert (status, found) == (304, b""), (path, tag)
            assert (again["ETag"], again["Cache-Control"]) == (headers["ETag"], headers["Cache-Control"]), (path, tag)
        assert get(client, path, if_none_match='"other"')[0] == 200, path


def test_range_of_a_file_gets_206(client: Client, content: bytes) -> None:
    ranges: dict[str, tuple[int, int | None]] = {
        "bytes=0-0": (0, 1),
        "bytes=10-19": (10, 20),
        "bytes=10-": (10, None),
        "bytes=-5": (-5, None),
        "bytes=0-99999999": (0, None),
        f"bytes=0-{'9' * 5000}": (0, None),
        f"bytes=-{'9' * 5000}": (0, None),
    }
    for asked, (first, last) in ranges.items():
        status, found, headers = get(client, ARTIFACT, range=asked)
        assert (status, found) == (206, content[first:last]), asked
        start = first % len(content)
        assert headers["Content-Range"] == f"bytes {start}-{start + len(found) - 1}/{len(content)}", asked
        assert headers["Content-Length"] == str(len(found)), asked


def test_range_beyond_a_file_gets_416(client: Client, content: bytes) -> None:
    for asked in ("bytes=99999999-", "bytes=-0", f"bytes={'9' * 5000}-"):
        status, _, headers = get(client, ARTIFACT, range=asked)
        assert (status, headers["Content-Range"]) == (416, f"bytes */{len(content)}"), asked


def test_bad_range_gets_the_whole_file(client: Client, content: bytes) -> None:
    for asked in ("bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=-"):
        assert get(client, ARTIFACT, range=asked)[:2] == (200, content), asked
    assert get(client, ARTIFACT, range="bytes=0-1", if_range='"other"')[:2] == (200, content)


def test_if_range_with_the_right_tag_gives_the_part(client: Client, content: bytes) -> None:
    tag = get(client, ARTIFACT)[2]["ETag"]
    assert get(client, ARTIFACT, range="bytes=0-1", if_range=tag)[:2] == (206, content[:2])


def test_head_is_get_without_its_body(client: Client, content: bytes) -> None:
    indexes = (f"/open/{subdir}/{name}" for subdir in ("noarch", "linux-64") for name in EVERY_SUBDIR_FILE)
    missing = ("/open/noarch/missing-1-0.conda", "/open/nowhere", "/hidden/noarch/repodata.json")
    for path in (ARTIFACT, "/open/channeldata.json", *missing, *indexes):
        expected, head = client.get(path), client.head(path)
        assert head.status_code == expected.status_code, path
        assert body(head) == b"", path
        assert {**headers_of(head), "Content-Length": ""} == {**headers_of(expected), "Content-Length": ""}, path
        if head.status_code == 200:
            assert head["Content-Length"] == str(len(body(expected))), path


def test_missing_file_gets_404_with_one_sentence(client: Client, content: bytes) -> None:
    sentences = {
        "/open/noarch/missing-1-0.conda": "'open' has no file 'noarch/missing-1-0.conda'.",
        "/open/rubbish": "'open' has no 'rubbish'; expected <subdir>/<file>.",
        "/open/UPPER/repodata.json": "expected <subdir>/<file>",
        "/open/linux64/repodata.json": "'linux64' is not a subdir such as linux-64",
        "/open/OSX_ARM64/repodata.json": "'OSX_ARM64' is not a subdir such as osx-arm64",
        "/open/no-arch-x/repodata.json": "'no-arch-x' is not a subdir such as noarch",
        "/open/channels/repodata.json": "is not a subdir such as linux-64",
        "/open/plan9-64/repodata.json": "'open' has no subdir 'plan9-64': nothing was published there yet.",
        "/open/noarch/../noarch/repodata.json": "'open' has no file",
        "/open/noarch/shards/../../x": "'open' has no file",
        f"/open/noarch/shards/{'0' * 64}.msgpack.zst": "There is no such file any more.",
    }
    for path, sentence in sentences.items():
        status, found, headers = get(client, path, accept="text/html")
        assert (status, headers["Content-Type"]) == (404, "text/plain; charset=utf-8"), path
        assert sentence in found.decode(), path


def test_private_and_missing_channels_are_answered_byte_for_byte_alike(
    client: Client, channel: Channel, sam: User
) -> None:
    for headers in ({}, {"authorization": f"Bearer {make_key(sam)}"}):
        for path in ("noarch/repodata.json", "noarch/demo-1.0-0.conda", "channeldata.json", "x"):
            private, missing = (get(client, f"/{name}/{path}", **headers) for name in ("demo", "none"))
            assert private[0] == (403 if headers else 401)
            assert (private[0], private[1].replace(b"demo'", b"none'"), private[2]) == missing


def test_other_methods_are_refused(client: Client, content: bytes) -> None:
    for method, status, code in (
        ("POST", 404, "no_upload_here"),
        ("PUT", 401, "credential_needed"),  # an upload by the Artifactory protocol
        ("DELETE", 405, "no_delete_here"),
        ("PATCH", 405, "wrong_method"),
    ):
        answer = client.generic(method, ARTIFACT)
        assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
        assert (answer.headers.get("Allow") == "GET, HEAD, OPTIONS") == (status == 405)


def test_a_store_that_fails_is_503(client: Client, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    class Down:
        def open(self, *args: object, **options: object) -> None:
            raise StoreError("connection refused by bucket-with-a-secret-name")

    monkeypatch.setattr(delivery, "store", Down)
    answer = client.get(ARTIFACT)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.text == "The package store does not answer. Nothing was changed; try again.\n"


def test_packages_are_redirected_where_the_store_signs_urls(
    client: Client, content: bytes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.HUB_DELIVERY = "redirect"
    assert get(client, ARTIFACT)[:2] == (200, content)
    asked: list[dict[str, Any]] = []

    class Signing:
        def url(self, key: str, **options: Any) -> str:
            asked.append({"key": key, **options})
            return "https://store.example/signed"

    monkeypatch.setattr(delivery, "store", Signing)
    for method in ("get", "head"):
        answer = getattr(client, method)(ARTIFACT)
        assert (answer.status_code, answer["Location"]) == (302, "https://store.example/signed")
        assert answer["Cache-Control"] == "no-store"
    assert [options["method"] for options in asked] == ["GET", "HEAD"]
    assert asked[0] == {
        "key": "open/noarch/demo-1.0-0.conda", "method": "GET", "expires_s": 60, "file_name": "demo-1.0-0.conda",
    }  # fmt: skip
    monkeypatch.undo()
    settings.HUB_DELIVERY = "redirect"
    assert client.get("/open/noarch/repodata.json").status_code == 200


def test_a_read_costs_few_queries(
    client: Client, content: bytes, olga: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        get(client, ARTIFACT)
    Channel.objects.update(is_private=True)
    secret = make_key(olga)
    get(client, ARTIFACT, authorization=f"Bearer {secret}")
    with django_assert_num_queries(4):
        get(client, ARTIFACT, authorization=f"Bearer {secret}")
