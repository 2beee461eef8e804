"""The REST API and the pages of imports."""

from typing import Any

import pytest
from django.test import Client

from channels_app.models import Channel, ChannelKind, Role, User
from publishing.imports import runs
from publishing.models import Import, ImportState
from tests.builders import make_key, make_member
from tests.imports.source import SourceServer
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db

API, PAGE = "/api/v1/channels/demo/imports", "/channels/demo/settings/imports"
SUBDIRS = {"subdirs": ["noarch", "linux-64"]}


@pytest.fixture
def client(channel: Channel, olga: User) -> Client:
    secret = make_key(olga)
    return Client(headers={"Authorization": f"Bearer {secret}"})


def post(client: Client, path: str, **body: Any) -> Any:
    return client.post(path, body, content_type="application/json")


def start(client: Client, server: SourceServer, **body: Any) -> Any:
    return post(client, API, **{"source": server.url} | SUBDIRS | body)


def test_import_by_key_is_started_run_and_read(client: Client, source: SourceServer) -> None:
    (source.folder / "noarch/lib-1.0-0.conda").unlink()

    started = start(client, source, exclude=["app"])

    assert (started.status_code, started.json()["state"], started.json()["found_files"]) == (201, "running", None)
    path = f"{API}/{started.json()['id']}"
    assert started.headers["Location"] == path
    runs.work()
    ended = client.get(path).json()
    counts = {name: ended[name] for name in ("state", "found_files", "imported_files", "refused_files", "created_by")}
    assert counts == {
        "state": "done", "found_files": 4, "imported_files": 3, "refused_files": 1, "created_by": "olga"
    }  # fmt: skip
    assert client.get(f"{path}/refused").json()["items"] == [
        {
            "subdir": "noarch",
            "file_name": "lib-1.0-0.conda",
            "reason": "The source answers 404 for noarch/lib-1.0-0.conda.",
        }
    ]
    assert [each["id"] for each in client.get(API).json()["items"]] == [ended["id"]]


def test_dry_run_counts_the_files_that_match(client: Client, source: SourceServer) -> None:
    answer = start(client, source, dry_run=True, include=["lib >=1.1", "app"], newest_versions=1)
    assert answer.status_code == 200
    assert answer.json()["files"] == 2
    assert [(each["subdir"], each["files"]) for each in answer.json()["subdirs"]] == [("linux-64", 1), ("noarch", 1)]
    assert not Import.objects.exists()
    assert source.packages() == []


def test_import_is_stopped_and_resumed(client: Client, source: SourceServer) -> None:
    path = f"{API}/{start(client, source).json()['id']}"

    assert post(client, f"{path}/resume").json()["code"] == "import_running"
    assert post(client, f"{path}/stop").json()["state"] == "stopped"
    assert post(client, f"{path}/stop").json()["code"] == "not_running"
    assert post(client, f"{path}/resume").json()["state"] == "running"
    runs.work()
    assert client.get(path).json()["state"] == "done"


def test_key_of_the_source_is_in_no_answer_and_asked_again(client: Client, source: SourceServer) -> None:
    started = start(client, source, key_kind="bearer", key="s3cr3t-of-the-source")
    path = f"{API}/{started.json()['id']}"
    post(client, f"{path}/stop")

    refused = post(client, f"{path}/resume")
    resumed = post(client, f"{path}/resume", key="s3cr3t-of-the-source")

    assert (refused.status_code, refused.json()["code"]) == (422, "bad_source_key")
    assert resumed.status_code == 200
    assert not any(b"s3cr3t" in answer.content for answer in (started, resumed, client.get(path), client.get(API)))
    assert "s3cr3t" not in Import.objects.get().encrypted_key


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"source": "ftp://example.org/x"}, "bad_source"),
        ({"source": "http://example.org/x"}, "bad_source"),
        ({"source": "/etc"}, "bad_source"),
        ({"source": "file:///etc"}, "bad_source"),
        ({"source": "s3://bucket/x"}, "bad_source"),
        ({"source": "https://me:secret@example.org/x"}, "bad_source"),
        ({"source": "https://example.org/t/secret/x"}, "bad_source"),
        ({"source": "https://example.org/x?key=1"}, "bad_source"),
        ({"include": [">=1"]}, "bad_spec"),
        ({"exclude": ["lib >=1,(("]}, "bad_spec"),
        ({"subdirs": ["../etc"]}, "bad_subdir"),
        ({"key_kind": "bearer"}, "bad_source_key"),
        ({"key": "secret"}, "bad_source_key"),
        ({"key_kind": "bearer", "key": "two\nlines"}, "bad_source_key"),
        ({"source": "https://127.0.0.1/x", "dry_run": True}, "source_failed"),
        ({"source": "https://[::1]/x", "dry_run": True}, "source_failed"),
    ],
)
def test_bad_values_are_refused(client: Client, source: SourceServer, values: dict[str, Any], code: str) -> None:
    answer = start(client, source, **values)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert not Import.objects.exists()


def test_private_address_is_not_named(client: Client, source: SourceServer) -> None:
    answer = start(client, source, source="https://localhost/x", dry_run=True)
    assert "127.0.0.1" not in answer.json()["detail"]


def test_second_import_into_a_channel_gets_409(client: Client, source: SourceServer) -> None:
    start(client, source)
    assert start(client, source).json()["code"] == "import_running"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"only_trusted_publishers": True}, "trusted_publishers_only"),
        ({"kind": ChannelKind.UPSTREAM}, "channel_takes_no_uploads"),
    ],
)
def test_channel_that_takes_no_uploads_takes_no_import(
    client: Client, source: SourceServer, fields: dict[str, Any], code: str
) -> None:
    Channel.objects.update(**fields)
    assert start(client, source).json()["code"] == code


def test_full_channel_gets_413(client: Client, source: SourceServer) -> None:
    Channel.objects.update(quota_bytes=1)
    Channel.objects.get().packages.create(name="big", size_bytes=2)
    assert (start(client, source).status_code) == 413


def test_viewer_gets_403_and_stranger_404_on_pages(channel: Channel, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    assert signed_in(max_).get(PAGE).status_code == 403
    assert signed_in(sam).get(PAGE).status_code == 404


def test_pages_preview_start_stop_and_resume(channel: Channel, olga: User, source: SourceServer) -> None:
    client = signed_in(olga)
    form = {"source": source.url, "key_kind": "none", "include": "lib\napp >=1", "subdirs": "noarch\nlinux-64"}

    previewed = client.post(PAGE, form | {"action": "preview"})
    started = client.post(PAGE, form | {"action": "start"})

    assert '<span class="name">linux-64</span></div><span class="count">1 file, ' in text(previewed)
    page = started.headers["Location"]
    assert (started.status_code, page) == (302, f"{PAGE}/{Import.objects.get().pk}")
    assert "The index of the source is not read yet" in text(client.get(page))
    assert messages(client.post(page, {"action": "stop"})) == ["The import is stopped. Its files stay."]
    assert client.post(page, {"action": "resume"}).status_code == 302
    runs.work()
    assert "4 files" in text(client.get(page))
    assert source.url in text(client.get(PAGE))


def test_page_shows_refused_files_and_failure(channel: Channel, olga: User) -> None:
    job = Import.objects.create(channel=channel, source="https://x", state=ImportState.FAILED, failure="It broke.")
    job.refused.create(subdir="noarch", file_name="bad-1-0.conda", reason="It is no package.")
    shown = text(signed_in(olga).get(f"{PAGE}/{job.pk}"))
    assert "It broke." in shown
    assert '<span class="name">noarch/bad-1-0.conda</span><span class="sub">It is no package.</span>' in shown


def test_page_with_bad_values_shows_the_error(channel: Channel, olga: User) -> None:
    form = {"source": "http://example.org/x", "key_kind": "none", "action": "start"}
    assert "expected https" in text(signed_in(olga).post(PAGE, form))


def test_missing_import_gets_404(client: Client, channel: Channel, olga: User) -> None:
    assert client.get(f"{API}/1").json()["code"] == "no_such_import"
    assert signed_in(olga).get(f"{PAGE}/1").status_code == 404
    assert post(client, f"{API}/1/stop").status_code == 404
