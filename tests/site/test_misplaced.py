"""Tests of uploads to wrong URLs: clients get a sentence, browsers get a page."""

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel, User
from tests.builders import make_channel, make_key
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

HUB = "https://hub.example.org"
SLIPS = [
    ("POST", "/demo/api/v1/upload/demo", "demo", "without demo"),
    ("POST", "/demo/api/v1/upload/", "demo", "without demo"),
    ("POST", "/hub/api/v1/upload/other", "other", "without hub"),
    ("POST", "//api/v1/upload/demo", "demo", "two slashes"),
    ("POST", "/api/v1/upload/demo/", "demo", "a slash too many"),
    ("PUT", "/api/v1/upload/demo/", "demo", "a slash too many"),
    ("POST", "/api/v1/upload", "CHANNEL", "the name of the channel is missing"),
    ("POST", "/api/v1/upload/demo/noarch/a-1-0.conda", "demo", "X-File-Name"),
    ("PUT", "/api/v1/upload/demo/noarch/a-1-0.conda", "demo", "X-File-Name"),
    ("POST", "/api/v1/uploads/demo", "CHANNEL", ""),
    ("POST", "/demo", "demo", ""),
    ("PUT", "/demo", "demo", ""),
    ("POST", "/demo/", "demo", ""),
    ("PUT", "/demo/noarch/", "demo", ""),
    ("PUT", "/demo/a-1-0.conda", "demo", ""),
    ("POST", "/demo/noarch/repodata.json", "demo", "ends in .conda or .tar.bz2"),
    ("PUT", "/demo/linux-64/README.md", "demo", "ends in .conda or .tar.bz2"),
    ("POST", "/", "CHANNEL", ""),
    ("PUT", "/", "CHANNEL", ""),
    ("PUT", "/a-1-0.conda", "CHANNEL", ""),
    ("POST", "/channels/demo", "demo", ""),
    ("POST", "/channels/demo/settings", "demo", "/channels/demo/settings. Upload"),
    ("POST", "/channels/de-mo/settings", "de-mo", "/channels/de-mo/settings. Upload"),
    ("POST", "/demo/noarch/a-1-0.conda", "demo", "/demo/noarch/a-1-0.conda. Upload"),
    ("POST", "/channels/demo/settings/upload", "demo", ""),
    ("POST", "/nowhere/at/all", "nowhere", ""),
    ("POST", "/accounts/login/", "CHANNEL", ""),
]


@pytest.fixture(autouse=True)
def hub(settings: Settings, channel: Channel) -> None:
    settings.HUB_PUBLIC_URL = HUB


def clients(olga: User) -> dict[str, dict[str, str]]:
    """Return the headers of each way to send a key, or none."""
    key = make_key(olga)
    return {
        "bearer": {"Authorization": f"Bearer {key}"},
        "basic": {"Authorization": "Basic bWU6bm8="},
        "quetz": {"X-API-Key": key},
        "artifactory": {"X-JFrog-Art-Api": key},
    }


@pytest.mark.parametrize("path", ["/api/channels/demo/files", "/api/channels/demo/upload/noarch/a-1-0.conda"])
def test_misplaced_upload_without_a_slash_at_its_end_is_told_of_none(path: str) -> None:
    answer = Client().post(path, b"x", "application/octet-stream")
    assert answer.headers["X-Error-Code"] == "no_upload_here"
    assert "slash" not in answer.text
    assert f"POST to {HUB}/api/channels/demo/upload/FILE_NAME:" in answer.text


@pytest.mark.parametrize("size", [3, 2 * 1024 * 1024])
@pytest.mark.parametrize(("method", "path", "channel_name", "cause"), SLIPS)
def test_misplaced_upload_gets_the_upload_url(
    olga: User, method: str, path: str, channel_name: str, cause: str, size: int
) -> None:
    client = Client(enforce_csrf_checks=True)
    for kind in ("application/octet-stream", "multipart/form-data; boundary=x"):
        for headers in clients(olga).values():
            answer = client.generic(method, path, b"x" * size, kind, headers=headers, PATH_INFO=path)
            assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_upload_here"), answer.text
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert f"POST to {HUB}/api/v1/upload/{channel_name}:" in answer.text
            assert f"--url {HUB} --channel {channel_name} FILE" in answer.text
            assert cause in answer.text
            assert len(answer.text) <= 512


@pytest.mark.parametrize(
    ("method", "path", "channel_name", "cause"), [slip for slip in SLIPS if "settings/upload" not in slip[1]]
)
def test_misplaced_upload_without_a_key_gets_the_upload_url(
    method: str, path: str, channel_name: str, cause: str
) -> None:
    answer = Client(enforce_csrf_checks=True).generic(
        method, path, b"x" * 3, "application/octet-stream", PATH_INFO=path
    )
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_upload_here"), answer.text


def test_misplaced_upload_with_a_path_key_gets_the_upload_url(olga: User) -> None:
    key = make_key(olga)
    for path in ("/demo/a-1-0.conda", "/demo", "/", "/api/v1/upload/demo/"):
        answer = Client(enforce_csrf_checks=True).put(f"/t/{key}{path}", b"x", "application/octet-stream")
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_upload_here")
        assert key not in answer.text


def test_misplaced_chunked_upload_gets_the_upload_url() -> None:
    client = Client(enforce_csrf_checks=True)
    for path in ("/", "/demo", "/demo/noarch/", "/channels/demo"):
        answer = client.put(path, b"x", "application/octet-stream", headers={"Transfer-Encoding": "chunked"})
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_upload_here")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/demo/noarch/a-1-0.conda", f"{HUB}/api/v1/delete/demo/noarch/a-1-0.conda"),
        ("/demo/a-1-0.conda", f"{HUB}/api/v1/delete/CHANNEL/SUBDIR/FILE"),
        ("/api/v1/delete/demo", f"{HUB}/api/v1/delete/CHANNEL/SUBDIR/FILE"),
        ("/api/v1/delete/demo/noarch/a-1-0.conda/", f"{HUB}/api/v1/delete/demo/noarch/a-1-0.conda"),
        ("/demo", f"{HUB}/api/v1/delete/CHANNEL/SUBDIR/FILE"),
        ("/channels/demo", f"{HUB}/api/v1/delete/CHANNEL/SUBDIR/FILE"),
    ],
)
def test_misplaced_deletion_gets_the_deletion_url(olga: User, path: str, sentence: str) -> None:
    for headers in ({}, *clients(olga).values()):
        answer = Client(enforce_csrf_checks=True).delete(path, headers=headers)
        is_there = path.startswith(("/demo/", "/channels/"))
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (405 if is_there else 404, "no_delete_here")
        assert sentence in answer.text


@pytest.mark.parametrize("path", ["/{}", "/{}/", "/{}/noarch/", "/{}/a-1-0.conda", "/{}/api/v1/upload/{}"])
def test_misplaced_upload_discloses_no_channel(olga: User, path: str) -> None:
    make_channel("open", owner=olga, is_private=False)
    told = set()
    for name in ("demo", "open", "void"):
        answer = Client(enforce_csrf_checks=True).put(path.format(name, name), b"x", "application/octet-stream")
        told.add((answer.status_code, answer.text.replace(name, "")))
    assert len(told) == 1


def test_form_with_a_wrong_token_is_refused_by_the_hubs_own_page(olga: User) -> None:
    browser = signed_in(olga)
    browser.handler.enforce_csrf_checks = True
    for token in ("", "x" * 64):
        browser.cookies["csrftoken"] = "y" * 32
        answer = browser.post(
            "/channels/demo/settings",
            {"description": "stolen", "csrfmiddlewaretoken": token},
            headers={"Accept": "text/html"},
        )
        assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "not_from_here")
        assert "site/csrf_failed.html" in [template.name for template in answer.templates]
        assert 'href="/channels/demo/settings"' in answer.text
    assert Channel.objects.get(name="demo").description == ""


def test_session_with_a_wrong_token_is_refused_however_it_is_sent(olga: User) -> None:
    browser = signed_in(olga)
    browser.handler.enforce_csrf_checks = True
    for headers in ({}, {"Accept": "application/json"}, {"X-API-Key": "x"}, {"Authorization": "Bearer x"}):
        for kind in ("application/x-www-form-urlencoded", "text/plain"):
            answer = browser.post("/channels/demo/settings", "description=stolen", kind, headers=headers)
            assert answer.status_code in (403, 404)
    assert Channel.objects.get(name="demo").description == ""


def test_form_of_a_visitor_whose_cookies_are_off_is_refused_by_a_page() -> None:
    browser = Client(enforce_csrf_checks=True)
    answer = browser.post("/accounts/login/", {"login": "olga", "password": "x"}, headers={"Accept": "text/html"})
    assert answer.status_code == 403
    assert "text/html" in answer.headers["Content-Type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_change_that_came_by_http_is_refused_where_the_hub_has_https(settings: Settings, method: str) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().generic(method, "/api/v1/upload/demo", b"x")
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (400, "https_needed")
    assert Client().get("/api/v1/upload/demo").status_code == 301
    assert Client().post("/api/v1/upload/demo", b"x", "text/plain", secure=True).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "channel_name"),
    [
        ("PUT", "/demo/noarch/", "demo"),
        ("PUT", "/demo/a-1-0.conda", "demo"),
        ("POST", "/", "CHANNEL"),
        ("PUT", f"/{'d' * 128}/noarch/{'a' * 200}", "d" * 128),
        ("POST", f"/{'d' * 128}/api/v1/upload/{'d' * 128}", "d" * 128),
    ],
)
def test_misplaced_upload_by_curl_gets_a_curl_command(olga: User, method: str, path: str, channel_name: str) -> None:
    headers = {"User-Agent": "curl/7.88.1", "Authorization": f"Bearer {make_key(olga)}"}
    answer = Client(enforce_csrf_checks=True).generic(method, path, b"x", "application/octet-stream", headers=headers)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, "no_upload_here")
    assert "curl --data-binary @FILE -H " in answer.text
    assert answer.text.endswith(f" {HUB}/api/v1/upload/{channel_name}\n")
    assert len(answer.text) <= 512
