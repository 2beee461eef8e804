"""What is left of a body is read after the answer, so that the client sees the answer."""

import io

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from hub import unread_bodies

pytestmark = pytest.mark.django_db  # the end of a request closes connections

CONTENT = b"x" * 3_000_000


def request(*, ends: bool = True, chunked: bool = False) -> HttpRequest:
    made = RequestFactory().post("/", b"", content_type="application/octet-stream")
    made.META |= {"wsgi.input": io.BytesIO(CONTENT), "wsgi.input_terminated": ends, "CONTENT_LENGTH": str(len(CONTENT))}
    if chunked:
        made.META |= {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    return made


def read_bytes(made: HttpRequest) -> tuple[int, int]:
    """How much is read when the answer is there, and once it is sent."""
    response = unread_bodies.answered_first(lambda _: HttpResponse("no", status=404))(made)
    before = made.META["wsgi.input"].tell()
    response.close()
    return before, made.META["wsgi.input"].tell()


@pytest.mark.parametrize("chunked", [False, True])
def test_unread_body_with_an_end_is_discarded_after_the_answer(chunked: bool) -> None:
    assert read_bytes(request(chunked=chunked)) == (0, len(CONTENT))


def test_unread_body_without_an_end_is_left_alone() -> None:
    assert read_bytes(request(ends=False)) == (0, 0)


def test_discarding_longer_than_its_time_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unread_bodies, "DISCARDED_S", -1)
    assert read_bytes(request()) == (0, 0)


def test_discarding_more_than_the_largest_upload_ends(settings: Settings) -> None:
    settings.HUB_MAX_UPLOAD_BYTES = 1_000_000
    assert read_bytes(request())[1] < len(CONTENT)
