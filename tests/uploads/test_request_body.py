"""Request bodies of uploads: both forms, their ends, limits and error messages."""

import hashlib
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from gunicorn.http.body import Body as GunicornBody
from gunicorn.http.body import ChunkedReader
from gunicorn.http.unreader import IterUnreader
from pytest_django import Settings

from hub.errors import HubError
from hub.http.request_body import Body, ReceivedFile, receive

CONTENT = bytes(range(256)) * 5000
LIMIT = 10 * 1024 * 1024


class Chunked(io.BytesIO):
    """Input of a server: a read returns at most the requested number of bytes, and often fewer."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size > 0
        return super().read(min(size, 1000 + self.tell() % 777))


def request(
    content: bytes,
    headers: Mapping[str, str] = {},
    *,
    chunked: bool = False,
    length: int | None = None,
) -> HttpRequest:
    made = RequestFactory().generic("POST", "/", b"", headers=dict(headers))
    made.META["wsgi.input"] = Chunked(content)
    if chunked:
        made.META.pop("CONTENT_LENGTH", None)
        made.META["wsgi.input_terminated"] = True
    else:
        made.META["CONTENT_LENGTH"] = str(len(content) if length is None else length)
    made.META["CONTENT_TYPE"] = headers.get("Content-Type", "application/octet-stream")
    return made


def form(*parts: tuple[str, bytes], boundary: str = "b0undary") -> bytes:
    return (
        b"".join(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n" for head, content in parts)
        + f"--{boundary}--\r\n".encode()
    )


FILE_HEAD = (
    'Content-Disposition: form-data; name="file"; filename="a-1-0.conda"\r\n'
    "content-type: application/octet-stream\r\n"
    "x-file-name: demo-1.0-0.conda\r\n"
    f"x-file-sha256: {hashlib.sha256(CONTENT).hexdigest()}"
)
ATTESTATION_HEAD = 'Content-Disposition: form-data; name="attestation"'
FIELD_HEAD = 'Content-Disposition: form-data; name="note"'
FORM = {"Content-Type": "multipart/form-data; boundary=b0undary"}


def received(made: HttpRequest, limit: int = LIMIT) -> tuple[ReceivedFile, bytes]:
    with receive(Body(made), limit) as file:
        return file, file.path.read_bytes()


def refusal(made: HttpRequest, limit: int = LIMIT) -> HubError:
    with pytest.raises(HubError) as caught:
        received(made, limit)
    return caught.value


@pytest.mark.parametrize("chunked", [False, True])
def test_receive_bare_bytes_returns_the_file(chunked: bool) -> None:
    headers = {"X-File-Name": "demo-1.0-0.conda", "X-File-SHA256": "AB" * 32}
    file, content = received(request(CONTENT, headers, chunked=chunked))
    assert content == CONTENT
    assert (file.file_name, file.claimed_sha256) == ("demo-1.0-0.conda", "ab" * 32)
    assert (file.sha256, file.md5) == (hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest())
    assert file.size_bytes == len(CONTENT)
    assert not file.path.exists()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form_with_the_headers_of_its_part(chunked: bool) -> None:
    content = form((FILE_HEAD, CONTENT), (ATTESTATION_HEAD, b'{"bundle": 1}'))
    file, stored = received(request(content, FORM, chunked=chunked))
    assert stored == CONTENT
    assert (file.file_name, file.claimed_sha256) == ("demo-1.0-0.conda", hashlib.sha256(CONTENT).hexdigest())
    assert (file.attestation, file.size_bytes) == (b'{"bundle": 1}', len(CONTENT))


def test_a_browsers_form_names_the_file_in_its_disposition() -> None:
    head = 'Content-Disposition: form-data; name="file"; filename="demo-1.0-0.conda"'
    file, _ = received(request(form((head, CONTENT)), FORM))
    assert (file.file_name, file.claimed_sha256, file.attestation) == ("demo-1.0-0.conda", None, None)


def test_a_form_brings_small_text_fields_along() -> None:
    token = ('Content-Disposition: form-data; name="csrfmiddlewaretoken"', b"t0ken")
    name = ('Content-Disposition: form-data; name="who"', "Zoë".encode())
    file, stored = received(request(form(token, (ATTESTATION_HEAD, b"{}"), (FILE_HEAD, CONTENT), name), FORM))
    assert (file.fields, file.attestation, stored) == ({"csrfmiddlewaretoken": "t0ken", "who": "Zoë"}, b"{}", CONTENT)
    assert received(request(CONTENT))[0].fields == {}


def test_content_that_looks_like_a_boundary_survives() -> None:
    content = b"\r\n--b0undar\r\n--b0undarz--\r\n" * 3000
    _, stored = received(request(form((FILE_HEAD, content)), FORM))
    assert stored == content


@pytest.mark.parametrize(
    ("made", "status", "sentence"),
    [
        (request(CONTENT[:100], length=200), 400, "broke off after 100 of 200 bytes"),
        (request(form((FILE_HEAD, CONTENT))[:-20], FORM), 400, "The multipart form can't be read"),
        (request(form((ATTESTATION_HEAD, b"{}")), FORM), 400, "has no part 'file'"),
        (request(form((FILE_HEAD, b"1"), (FILE_HEAD, b"2")), FORM), 400, "two parts 'file'"),
        (request(form((ATTESTATION_HEAD, b""), (ATTESTATION_HEAD, b"{}")), FORM), 400, "two parts 'attestation'"),
        (request(form((FIELD_HEAD, b"x" * 4097)), FORM), 413, "The form's part 'note' is over 4 KiB"),
        (
            request(form(*((FIELD_HEAD.replace("note", f"note-{n}"), b"") for n in range(20))), FORM),
            400,
            "can't be read",
        ),
        (request(b"rubbish", FORM), 400, "The multipart form can't be read"),
        (request(b"", {"Content-Type": "multipart/form-data"}), 400, "The multipart form can't be read"),
        (
            request(form((ATTESTATION_HEAD, b"x" * 70_000)), FORM),
            413,
            "The form's part 'attestation' is over 64 KiB",
        ),
    ],
)
def test_receive_broken_body_is_refused(made: HttpRequest, status: int, sentence: str) -> None:
    error = refusal(made)
    assert (error.status, sentence in error.detail) == (status, True), error.detail


def test_a_body_without_any_length_is_not_waited_for() -> None:
    made = request(CONTENT)
    del made.META["CONTENT_LENGTH"]
    assert "no Content-Length and is not chunked" in refusal(made).detail


@pytest.mark.parametrize("headers", [{}, FORM])
def test_body_of_which_no_length_came_lacks_its_length(headers: dict[str, str]) -> None:
    made = request(b"", headers, chunked=True)
    assert refusal(made).code == "length_missing"


def test_body_of_length_0_or_of_no_chunk_is_empty() -> None:
    assert received(request(b""))[0].size_bytes == 0
    assert received(request(b"", {"Transfer-Encoding": "chunked"}, chunked=True))[0].size_bytes == 0


SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER_SHA256 = "0" * 64


@pytest.mark.parametrize(
    ("of_request", "of_part", "claimed"),
    [
        (OTHER_SHA256, "", OTHER_SHA256),
        ("", OTHER_SHA256, OTHER_SHA256),
        (SHA256.upper(), SHA256, SHA256),
        ("", "", None),
    ],
)
def test_checksum_of_the_request_or_the_part_is_taken(of_request: str, of_part: str, claimed: str | None) -> None:
    head = f'Content-Disposition: form-data; name="file"; filename="a-1-0.conda"\r\nX-File-SHA256: {of_part}'
    made = request(form((head, CONTENT)), FORM | {"X-File-SHA256": of_request})
    assert received(made)[0].claimed_sha256 == claimed


@pytest.mark.parametrize("disposition", ["", '; filename="-"', '; filename="blob"'])
@pytest.mark.parametrize(
    ("of_request", "of_part"),
    [("demo-1.0-0.conda", ""), ("", "demo-1.0-0.conda"), ("dist/demo-1.0-0.conda", "demo-1.0-0.conda")],
)
def test_file_name_of_the_request_or_the_part_wins_over_the_disposition(
    disposition: str, of_request: str, of_part: str
) -> None:
    head = f'Content-Disposition: form-data; name="file"{disposition}\r\nX-File-Name: {of_part}'
    made = request(form((head, CONTENT)), FORM | {"X-File-Name": of_request})
    assert received(made)[0].file_name == "demo-1.0-0.conda"


@pytest.mark.parametrize(
    ("name", "of_request", "of_part"),
    [("X-File-SHA256", OTHER_SHA256, SHA256), ("X-File-Name", "a-1-0.conda", "b-1-0.conda")],
)
def test_header_that_differs_between_request_and_part_is_refused_early(
    name: str, of_request: str, of_part: str
) -> None:
    head = f'Content-Disposition: form-data; name="file"\r\n{name}: {of_part}'
    made = request(form((head, CONTENT)), FORM | {name: of_request})
    error = refusal(made)
    assert (error.status, error.code) == (400, "headers_differ")
    assert of_request in error.detail
    assert of_part in error.detail
    assert made.META["wsgi.input"].tell() < len(CONTENT)


@pytest.mark.parametrize("name", ["file2", "package", "csrfmiddlewaretoken"])
def test_second_file_of_a_form_is_refused_wherever_it_stands(name: str) -> None:
    second = f'Content-Disposition: form-data; name="{name}"; filename="b-1-0.conda"'
    error = refusal(request(form((FILE_HEAD, CONTENT), (second, b"2")), FORM))
    assert (error.status, error.code) == (400, "two_parts")
    error = refusal(request(form((second, b"2"), (FILE_HEAD, CONTENT)), FORM))
    assert (error.status, error.code) == (400, "file_missing")


def test_attestation_with_a_file_name_and_an_unused_file_field_pass() -> None:
    unused = 'Content-Disposition: form-data; name="other"; filename=""'
    attestation = f'{ATTESTATION_HEAD}; filename="a.json"'
    file, _ = received(request(form((FILE_HEAD, CONTENT), (attestation, b"{}"), (unused, b"")), FORM))
    assert file.attestation == b"{}"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("headers", [{}, FORM])
def test_receive_too_large_body_gets_413(chunked: bool, headers: dict[str, str]) -> None:
    content = form((FILE_HEAD, CONTENT)) if headers else CONTENT
    error = refusal(request(content, headers, chunked=chunked), limit=len(CONTENT) - 1)
    assert (error.status, error.detail) == (
        413,
        (
            "The package is larger than this channel's limit of 1.2 MiB. "
            "An owner can raise it in the channel's settings, an administrator also HUB_MAX_UPLOAD_BYTES."
        ),
    )
    assert received(request(content, headers, chunked=chunked), limit=len(CONTENT))[1] == CONTENT


def test_a_body_that_is_announced_too_large_is_not_read() -> None:
    made = request(CONTENT, length=LIMIT * 2)
    assert refusal(made).status == 413
    assert made.META["wsgi.input"].tell() == 0


def test_receive_refused_body_leaves_no_file(settings: Settings) -> None:
    refusal(request(CONTENT[:100], length=200))
    assert list(settings.UPLOAD_DIR.iterdir()) == []


def test_a_connection_that_breaks_is_a_refusal() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError("reset by peer")

    made = request(CONTENT)
    made.META["wsgi.input"] = Broken()
    assert "broke off after 0 bytes: reset by peer" in refusal(made).detail


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("demo-1.0-0.conda", "demo-1.0-0.conda"),
        ("dist/linux-64/demo-1.0-0.conda", "demo-1.0-0.conda"),
        ("dist\\win-64\\demo-1.0-0.conda", "demo-1.0-0.conda"),
        ("C:\\dist/demo-1.0-0.conda", "demo-1.0-0.conda"),
        ("/demo-1.0-0.conda", "demo-1.0-0.conda"),
        ("dist/", ""),
        ("..", ".."),
        ("dist%2Fdemo-1.0-0.conda", "dist%2Fdemo-1.0-0.conda"),
    ],
)
def test_file_name_with_folders_keeps_its_last_segment(sent: str, stored: str) -> None:
    in_part = f'Content-Disposition: form-data; name="file"\r\nX-File-Name: {sent}'
    in_disposition = f'Content-Disposition: form-data; name="file"; filename="{sent}"'
    assert received(request(CONTENT, {"X-File-Name": sent}))[0].file_name == stored
    assert received(request(form((in_part, CONTENT)), FORM))[0].file_name == stored
    assert received(request(form((in_disposition, CONTENT)), FORM))[0].file_name == stored


@pytest.mark.parametrize("folder", ["uploads", "store"])
def test_body_larger_than_the_free_space_is_refused_unread(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, store_folder: Path, folder: str
) -> None:
    store_folder.mkdir()
    full = str(settings.UPLOAD_DIR if folder == "uploads" else store_folder)

    def usage(path: str | Path) -> SimpleNamespace:
        return SimpleNamespace(free=len(CONTENT) - 1 if str(path) == full else len(CONTENT))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    made = request(CONTENT)
    error = refusal(made)
    assert (error.status, error.code, error.headers) == (413, "disk_full", {"Retry-After": "60"})
    assert made.META["wsgi.input"].tell() == 0
    assert received(request(CONTENT[:-1]))[1] == CONTENT[:-1]


def test_body_with_a_malformed_chunk_gets_400() -> None:
    made = request(b"", chunked=True)
    made.META["wsgi.input"] = GunicornBody(
        ChunkedReader(None, IterUnreader([b"5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n"]))
    )
    error = refusal(made)
    assert (error.status, error.code) == (400, "body_cut")
