"""Tests of the limit of request bodies: a body that is larger than any form is not read."""

from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import ResolverMatch
from pytest_django import Settings

from channels_app.models import Channel, User
from hub.http.middleware import bounded_body
from hub.protocols import protocols, uploads
from hub.sizes import MIB
from tests.pages import signed_in
from tests.routes import every_view

pytestmark = pytest.mark.django_db

# Routes whose view limits its body itself. Those of client protocols say so in their own file.
OF_PROTOCOLS = {pattern.name for protocol in protocols() for pattern in protocol.url_patterns}
OWN_BOUNDS = {name for name, view in every_view().items() if getattr(view, "bounds_own_body", False)}


def refused(route: str, **headers: str) -> HttpResponse | None:
    """Return the response to a request that its view never sees, or None."""
    request = RequestFactory().post("/", b"", content_type="application/octet-stream")
    request.META |= headers
    request.resolver_match = ResolverMatch(every_view()[route], (), {}, url_name=route)
    process_view: Callable[[HttpRequest], HttpResponse | None] = bounded_body(_view).process_view  # type: ignore[attr-defined]
    return process_view(request)


def _view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


@pytest.mark.parametrize("length", ["", "0", "1", str(MIB)])
def test_form_body_within_the_limit_is_accepted(length: str) -> None:
    assert refused("channel-new", CONTENT_LENGTH=length) is None


@pytest.mark.parametrize("length", [str(MIB + 1), "9" * 30, "-1", "1e3", "²"])
def test_larger_bodies_are_refused(length: str) -> None:
    answer = refused("channel-new", CONTENT_LENGTH=length)
    assert answer is not None
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.content == b"The body is too large; expected at most 1 MiB.\n"


def test_bodies_without_a_length_are_refused() -> None:
    answer = refused("channel-new", HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    assert answer is not None
    assert answer.status_code == HTTPStatus.LENGTH_REQUIRED
    assert answer.content == b"The body is chunked; expected a Content-Length. Send the body with its length.\n"


def test_routes_that_bound_their_own_body_are_these() -> None:
    assert {"channel-file", "channel-address", "reserved-word"} == OWN_BOUNDS - OF_PROTOCOLS
    assert {upload.name for upload in uploads()} <= OWN_BOUNDS


@pytest.mark.parametrize("route", sorted(OWN_BOUNDS))
def test_routes_that_bound_their_own_body_take_any_length(route: str) -> None:
    assert refused(route, CONTENT_LENGTH=str(1024 * MIB)) is None
    assert refused(route, HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="") is None


@pytest.mark.parametrize(
    "path",
    ["/accounts/login/", "/channels/demo/settings", "/admin/", "/identity/o/api/token", "/demo/noarch/repodata.json"],
)
def test_no_page_reads_a_large_body(channel: Channel, olga: User, settings: Settings, path: str) -> None:
    settings.FILE_UPLOAD_HANDLERS = []  # fail if the upload parser is used
    headers = {"accept": "text/html"}
    for browser in (Client(enforce_csrf_checks=True), signed_in(olga)):
        answer = browser.post(path, b"x" * (MIB + 1), content_type="multipart/form-data; boundary=x", headers=headers)
        assert answer.status_code == (404 if path.startswith("/demo") else HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
