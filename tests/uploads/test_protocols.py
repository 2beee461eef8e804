"""Derivations from the declarations of client protocols: routes, checks, reserved words, buffering, advice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path
from pytest_django import Settings

from channels_app.doctor import addresses
from channels_app.site import misplaced
from hub import protocols
from hub.protocols import Protocol, Upload
from hub.server import arrivals
from publishing.downloads.fast_path import fast_path
from tests.routes import every_view

NGINX = Path(__file__).parent.parent.parent / "deploy" / "nginx" / "nginx.conf.template"


def view(request: HttpRequest, **_: str) -> HttpResponse:
    return HttpResponse()


QUETZ = Upload(
    route="own/channels/<str:channel>/upload/<str:file_name>",
    name="own-upload",
    view=view,
    check=view,
    command="own upload --url {url} --channel {channel} FILE",
)
PUT = Upload(route="<str:channel>/<str:subdir>/<str:file_name>", name="put", method="PUT", view=view, check=view)
OWN = Protocol(
    uploads=(QUETZ, PUT),
    routes=(path("other/<str:channel>", view, name="other"),),
    path_key_routes=frozenset({"own-upload", "other"}),
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add a protocol of two uploads: one with a first word of its own, one below a channel's URL."""
    every = (*protocols.protocols(), OWN)
    monkeypatch.setattr(protocols, "protocols", lambda: every)
    arrivals.upload_paths.cache_clear()
    yield
    arrivals.upload_paths.cache_clear()


@pytest.mark.parametrize("upload", protocols.uploads(), ids=lambda upload: upload.name)
def test_upload_reads_its_own_body_and_needs_no_csrf_token(upload: Upload) -> None:
    served = every_view()[upload.name]
    assert served.bounds_own_body  # type: ignore[attr-defined]
    assert served.csrf_exempt  # type: ignore[attr-defined]


def test_nginx_checks_the_uploads_of_every_protocol() -> None:
    routes = "|".join(upload.regex for upload in protocols.uploads())
    assert f"\n        location ~ ^(/t/[^/]+)?/({routes})$ {{\n" in NGINX.read_text()


def test_nginx_names_the_recommended_upload_in_refusals() -> None:
    upload = protocols.recommended_uploads()[0]
    assert f"Upload packages by {upload.method} to {upload.address()}." in NGINX.read_text()
    assert f"Upload packages to {upload.address()}." in NGINX.read_text()


def test_protocol_gets_routes_checks_and_reserved_words(own: None) -> None:
    first = {pattern.name: str(pattern.pattern) for pattern in protocols.url_patterns(begin_with_channel=False)}
    below = {pattern.name: str(pattern.pattern) for pattern in protocols.url_patterns(begin_with_channel=True)}
    assert {"own-upload", "own-upload-check", "other"} <= first.keys()
    assert below.items() >= {"put": PUT.route, "put-check": f"{PUT.route}/may"}.items()
    assert protocols.first_words() >= {"api", "channels", "own", "other"}
    assert protocols.path_key_routes() >= {"own-upload", "own-upload-check", "other", "upload", "upload-check"}


def test_check_below_a_channel_is_no_file_of_the_fast_path(rf: RequestFactory) -> None:
    answer = fast_path(lambda _: HttpResponse("by the resolver"))
    assert answer(rf.get("/demo/noarch/a-1-0.conda/may")).content == b"by the resolver"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("line", "is_upload"),
    [
        (b"POST /own/channels/demo/upload/a-1-0.conda?force=true HTTP/1.1", True),
        (b"PUT /demo/noarch/a-1-0.conda HTTP/1.1", True),
        (b"PUT /t/KEY/demo/noarch/a-1-0.conda HTTP/1.1", True),
        (b"POST /own/channels/demo/upload HTTP/1.1\r\nReferer: x/y/z", False),
        (b"POST /a HTTP/1.1", False),
    ],
)
def test_body_of_a_declared_upload_is_not_buffered(own: None, line: bytes, is_upload: bool) -> None:
    head = line + b"\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"
    assert arrivals.is_upload(head) is is_upload


def test_refusal_names_the_upload_that_the_address_resembles(own: None, settings: Settings) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    refusal = misplaced.refusal(RequestFactory().post("/hub/own/channels/demo/upload/a-1-0.conda"))
    assert refusal.code == "no_upload_here"
    assert "own upload --url https://hub.example.org --channel demo FILE" in refusal.detail
    assert "without hub" in refusal.detail


def test_doctor_knows_the_address_of_a_declared_upload(own: None, settings: Settings) -> None:
    found = addresses.read("https://hub.example.org/own/channels/demo/upload/a-1-0.conda")
    assert (found.channel, found.needed) == ("demo", "upload")
