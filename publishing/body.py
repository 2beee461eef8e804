"""An upload request, of any protocol, → one temporary file, hashed on its way in.

Read from the WSGI input itself: through Django's request a chunked body without Content-Length is empty, the headers
of a multipart part are not to be seen, and the file is written twice.
"""

import hashlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from django.conf import settings
from django.http import HttpRequest
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from hub.errors import HubError, bad_request, too_large

CHUNK_BYTES = 256 * 1024
ATTESTATION_MAX_BYTES = 64 * 1024
FORM_OVERHEAD_BYTES = ATTESTATION_MAX_BYTES + 64 * 1024
DRAIN_S = 30


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """What arrived: the bytes at `path` (for as long as the request lasts) and what the client said of them."""

    path: Path
    file_name: str
    claimed_sha256: str | None
    sha256: str
    md5: str
    size_bytes: int
    attestation: bytes | None = None


@contextmanager
def receive(request: HttpRequest, limit_bytes: int) -> Iterator[ReceivedFile]:
    """Read the body: a multipart form with a part `file`, or the bare bytes of one file. Costs one pass and one chunk.

    400 where the body is broken or ends early, 413 where the file is larger than `limit_bytes`.
    """
    declared = _declared_bytes(request)
    if declared is not None and declared > limit_bytes + FORM_OVERHEAD_BYTES:
        raise _over_limit(limit_bytes)
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix="upload-") as file:
        sink = _Sink(file, limit_bytes)
        content_type, options = parse_options_header(request.META.get("CONTENT_TYPE", ""))
        if content_type == "multipart/form-data":
            received = _read_form(request, sink, options.get("boundary", ""))
        else:
            received = _read_bare(request, sink)
        file.flush()
        yield received


@contextmanager
def answered_after_the_body(request: HttpRequest) -> Iterator[None]:
    """Swallow what is left of the body when the block refuses it.

    A server that closes a connection with unread data resets it, and the client, which never asks with
    `Expect: 100-continue`, sees a broken pipe instead of the answer. Bounded: 30 seconds or the largest upload.
    """
    try:
        yield
    except HubError:
        _drain(request)
        raise


@dataclass(slots=True)
class _Sink:
    """A file that hashes and counts what is written to it, up to a limit."""

    file: IO[bytes]
    limit_bytes: int
    size_bytes: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    md5: Any = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))

    def write(self, chunk: bytes | bytearray) -> None:
        self.size_bytes += len(chunk)
        if self.size_bytes > self.limit_bytes:
            raise _over_limit(self.limit_bytes)
        self.sha256.update(chunk)
        self.md5.update(chunk)
        self.file.write(chunk)

    def received(self, file_name: str, claimed_sha256: str | None, attestation: bytes | None = None) -> ReceivedFile:
        return ReceivedFile(
            path=Path(self.file.name),
            file_name=file_name,
            claimed_sha256=claimed_sha256.strip().lower() if claimed_sha256 else None,
            sha256=self.sha256.hexdigest(),
            md5=self.md5.hexdigest(),
            size_bytes=self.size_bytes,
            attestation=attestation,
        )


def _read_bare(request: HttpRequest, sink: _Sink) -> ReceivedFile:
    for chunk in _chunks(request):
        sink.write(chunk)
    return sink.received(request.headers.get("X-File-Name", ""), request.headers.get("X-File-SHA256"))


def _read_form(request: HttpRequest, sink: _Sink, boundary: str) -> ReceivedFile:
    form = _Form(sink)
    try:
        with PushMultipartParser(boundary, max_segment_count=16, strict=True) as parser:
            for chunk in _chunks(request):
                for event in parser.parse(chunk):
                    form.take(event)
    except MultipartError as error:
        raise bad_request("bad_form", f"The multipart form can't be read: {error}.") from None
    if form.file is None:
        raise bad_request("file_missing", "The multipart form has no part 'file'; expected the package there.")
    file_name = form.file.header("X-File-Name") or form.file.filename or ""
    return sink.received(file_name, form.file.header("X-File-SHA256"), bytes(form.attestation) or None)


class _Form:
    """The parts of an upload form, as the parser's events come in: the file to the sink, the attestation to memory."""

    def __init__(self, sink: _Sink) -> None:
        self.sink = sink
        self.file: MultipartSegment | None = None
        self.attestation = bytearray()
        self.part: MultipartSegment | None = None

    def take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is not None and self.part is self.file:
            self.sink.write(event)
        elif event is not None and self.part is not None and self.part.name == "attestation":
            self._extend_attestation(event)

    def _begin(self, part: MultipartSegment) -> None:
        self.part = part
        if part.name == "file":
            if self.file is not None:
                raise bad_request("two_files", "The multipart form has two parts 'file'; upload one package at a time.")
            self.file = part

    def _extend_attestation(self, chunk: bytearray | bytes) -> None:
        self.attestation += chunk
        if len(self.attestation) > ATTESTATION_MAX_BYTES:
            raise too_large("attestation_too_large", f"The attestation is over {ATTESTATION_MAX_BYTES} bytes.")


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body in chunks. 400 where the connection ends before the body does."""
    source: _Readable = request.META["wsgi.input"]
    declared = _declared_bytes(request)
    if declared is None and not _may_be_chunked(request):
        raise bad_request("length_missing", "The body has no Content-Length and is not chunked; send one of the two.")
    arrived = 0
    while declared is None or arrived < declared:
        try:
            chunk = source.read(CHUNK_BYTES if declared is None else min(CHUNK_BYTES, declared - arrived))
        except OSError as error:
            raise bad_request("body_cut", f"The body broke off after {arrived} bytes: {error}.") from None
        if not chunk:
            break
        arrived += len(chunk)
        yield chunk
    if declared is not None and arrived < declared:
        raise bad_request("body_cut", f"The body broke off after {arrived} of {declared} bytes; send it again.")


def _declared_bytes(request: HttpRequest) -> int | None:
    value: str = request.META.get("CONTENT_LENGTH") or ""
    return int(value) if value.isascii() and value.isdigit() else None


def _may_be_chunked(request: HttpRequest) -> bool:
    """Whether reading to the end is safe: the server says that the input ends by itself (gunicorn, granian do)."""
    return bool(request.META.get("wsgi.input_terminated"))


def _drain(request: HttpRequest) -> None:
    left, deadline = settings.HUB_MAX_UPLOAD_BYTES, time.monotonic() + DRAIN_S
    with suppress(HubError):
        for chunk in _chunks(request):
            left -= len(chunk)
            if left < 0 or time.monotonic() > deadline:
                return


def _over_limit(limit_bytes: int) -> HubError:
    return too_large("too_large", f"The package is larger than this channel's limit of {limit_bytes:,} bytes.")
