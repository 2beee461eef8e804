"""Upload requests of any protocol → one temporary file, hashed while it is read.

The body is read from the WSGI input. Through Django's request, a chunked body without Content-Length is empty, the
headers of a multipart part are lost, and the file is written twice.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO, Any

import orjson
from django.conf import settings
from django.http import HttpRequest
from gunicorn.http.errors import ParseException
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from hub import database, temporary
from hub.errors import HubError, bad_request, disk_full, too_large, unavailable
from hub.http.unread_bodies import CHUNK_BYTES, Readable
from hub.sizes import KIB, human_size
from hub.storage import store

ATTESTATION_MAX_BYTES = 64 * KIB
FIELD_MAX_BYTES = 4 * KIB
PARTS_MAX = 16
FORM_OVERHEAD_BYTES = ATTESTATION_MAX_BYTES + 64 * KIB


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A received file: its bytes at `path` until the request ends, and the client's statements about it."""

    path: Path
    file_name: str
    claimed_sha256: str | None
    sha256: str
    md5: str
    size_bytes: int
    attestation: bytes | None = None
    fields: dict[str, str] = field(default_factory=dict)  # the other fields of the form
    claimed_subdir: str = ""  # of the address, if it has one


# Of 32 threads per process. Without a proxy that buffers bodies, slow senders leave the others free.
READING = BoundedSemaphore(20)
READING_WAIT_S = 0.3
# Longer numbers are cut; the first 30 digits already exceed every limit.
LENGTH_DIGITS_MAX = 30


class Body:
    """The body of a request: read once, in chunks, and counted."""

    def __init__(self, request: HttpRequest) -> None:
        self.headers = request.headers
        self.content_type: str = request.META.get("CONTENT_TYPE", "")
        length: str = request.META.get("CONTENT_LENGTH") or ""
        self.declared_bytes = int(length[:LENGTH_DIGITS_MAX]) if length.isascii() and length.isdigit() else None
        # Without a length, the end is known only if the server marks it, as gunicorn and granian do.
        self._ends_by_itself = bool(request.META.get("wsgi.input_terminated"))
        # The minimum size of the package: the length without the largest form around it.
        overhead_bytes = FORM_OVERHEAD_BYTES if self.content_type.startswith("multipart/") else 0
        self.package_bytes = max((self.declared_bytes or 0) - overhead_bytes, 0)
        self._source: Readable = request.META["wsgi.input"]
        self._arrived_bytes = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the unread bytes. Raise a 400 if the connection ends before the body does."""
        if self.declared_bytes is None and not self._ends_by_itself:
            raise _length_missing()
        with _reading():
            while wanted := self._next_bytes():
                try:
                    chunk = self._source.read(wanted)
                except (OSError, ParseException) as error:  # a ParseException is about malformed chunks
                    raise bad_request(
                        "body_cut", f"The body broke off after {self._arrived_bytes} bytes: {str(error)[:100]}."
                    ) from None
                if not chunk:
                    break
                self._arrived_bytes += len(chunk)
                yield chunk
        # gunicorn treats a body without a length as empty.
        if not self._arrived_bytes and self.declared_bytes is None and "Transfer-Encoding" not in self.headers:
            raise _length_missing()
        if self._next_bytes() and self.declared_bytes is not None:
            raise bad_request(
                "body_cut",
                f"The body broke off after {self._arrived_bytes} of {self.declared_bytes} bytes; send it again.",
            )

    def _next_bytes(self) -> int:
        if self.declared_bytes is None:
            return CHUNK_BYTES
        return min(CHUNK_BYTES, self.declared_bytes - self._arrived_bytes)


@contextmanager
def _reading() -> Iterator[None]:
    """Hold one of the slots for reading bodies. Raise a 503 if slow senders hold all of them."""
    if settings.HUB_PROXIES:
        yield
        return
    with slot_of(READING, "uploads", wait_s=READING_WAIT_S):
        yield


@contextmanager
def slot_of(slots: BoundedSemaphore, kind: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold one of the slots. Raise HubError 503 if none is free within `wait_s`."""
    if not slots.acquire(timeout=wait_s):
        raise unavailable("too_many_uploads", f"Too many {kind} are running. Nothing was changed; try again.")
    try:
        yield
    finally:
        slots.release()


@contextmanager
def receive(body: Body, limit_bytes: int, *, form_part: str = "file") -> Iterator[ReceivedFile]:
    """Read a multipart form with the file in the part `form_part`, or the bare bytes of one file, in one pass.

    A form may also have a part `attestation` and a few small text fields.

    Raise a 400 for a broken or incomplete body, a 413 if the file exceeds `limit_bytes` or the free disk space.
    """
    if body.declared_bytes is not None and body.declared_bytes > limit_bytes + FORM_OVERHEAD_BYTES:
        raise _over_limit(limit_bytes)
    _check_space(body.declared_bytes or 0)
    database.release_connection()
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("upload")) as file:
        sink = _Sink(file, limit_bytes)
        content_type, options = parse_options_header(body.content_type)
        if content_type == "multipart/form-data":
            received = _read_form(body, sink, options.get("boundary", ""), form_part)
        else:
            received = _read_bare(body, sink)
        file.flush()
        yield received


@contextmanager
def copied(chunks: Iterable[bytes], file_name: str, *, purpose: str = "upload") -> Iterator[ReceivedFile]:
    """Yield a temporary copy of a stored file, in the form of a received one. `purpose` begins its name."""

    def fill(write: Callable[[bytes], None]) -> None:
        for chunk in chunks:
            write(chunk)

    with filled(fill, file_name, purpose=purpose) as received:
        yield received


@contextmanager
def filled(
    fill: Callable[[Callable[[bytes], None]], None], file_name: str, *, purpose: str, limit_bytes: int = sys.maxsize
) -> Iterator[ReceivedFile]:
    """Yield a temporary file in the form of a received one. `fill` writes it, by the function that it gets.

    Raise a 413 if it writes more than `limit_bytes`.
    """
    with tempfile.NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix=temporary.prefix(purpose)) as file:
        sink = _Sink(file, limit_bytes)
        fill(sink.write)
        file.flush()
        yield sink.received(file_name, None, {})


def _check_space(needed_bytes: int) -> None:
    """Refuse a body that exceeds the free disk space before it is sent. Concurrent uploads can still fill the disk."""
    folders = [settings.UPLOAD_DIR, getattr(store(), "root", settings.UPLOAD_DIR)]
    if any(Path(folder).is_dir() and shutil.disk_usage(folder).free < needed_bytes for folder in folders):
        raise disk_full(is_upload=True)


@dataclass(slots=True)
class _Sink:
    """A file with a size limit that hashes and counts the written bytes."""

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

    def received(self, file_name: str, claimed_sha256: str | None, parts: Mapping[str, bytes]) -> ReceivedFile:
        return ReceivedFile(
            path=Path(self.file.name),
            file_name=_last_segment(file_name),
            claimed_sha256=claimed_sha256.strip().lower() if claimed_sha256 else None,
            sha256=self.sha256.hexdigest(),
            md5=self.md5.hexdigest(),
            size_bytes=self.size_bytes,
            attestation=parts.get("attestation") or None,
            fields={name: part.decode(errors="replace") for name, part in parts.items() if name != "attestation"},
        )


def _read_bare(body: Body, sink: _Sink) -> ReceivedFile:
    for chunk in body.chunks():
        sink.write(chunk)
    return sink.received(body.headers.get("X-File-Name", ""), body.headers.get("X-File-SHA256"), {})


def _read_form(body: Body, sink: _Sink, boundary: str, file_part: str) -> ReceivedFile:
    form = _Form(sink, body.headers, file_part)
    try:
        with PushMultipartParser(boundary, max_segment_count=PARTS_MAX, strict=True) as parser:
            for chunk in body.chunks():
                for event in parser.parse(chunk):
                    form.take(event)
    except MultipartError as error:
        raise bad_request("bad_form", f"The multipart form can't be read: {error}.") from None
    if form.file is None:
        raise bad_request("file_missing", f"The multipart form has no part '{file_part}'; expected the package there.")
    return sink.received(form.file_name, form.claimed_sha256, form.small)


class _Form:
    """Parts of an upload form from the parser's events: the file goes to the sink, small parts stay in memory."""

    def __init__(self, sink: _Sink, headers: Mapping[str, str], file_part: str) -> None:
        self.sink = sink
        self.headers = headers
        self.file_part = file_part
        self.file: MultipartSegment | None = None
        self.file_name = ""
        self.claimed_sha256: str | None = None
        self.part: MultipartSegment | None = None
        self.small: dict[str, bytes] = {}

    def take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._begin(event)
        elif event is not None and self.part is self.file:
            self.sink.write(event)
        elif event is not None and self.part is not None:
            self._extend(self.part.name, event)

    def _begin(self, part: MultipartSegment) -> None:
        if part.name in self.small or (self.file and part.name == self.file_part):
            raise bad_request(
                "two_parts", f"The multipart form has two parts '{part.name[:60]}'; upload one package at a time."
            )
        if part.filename and part.name not in (self.file_part, "attestation"):
            raise bad_request(
                "two_parts" if self.file else "file_missing",
                f"The multipart form has a file in the part '{part.name[:60]}'; "
                f"expected one package, in the part '{self.file_part}'. Send each package in a request of its own.",
            )
        self.part = part
        if part.name == self.file_part:
            self._begin_file(part)
        else:
            self.small[part.name] = b""

    def _begin_file(self, part: MultipartSegment) -> None:
        self.file = part
        self.file_name = self._agreed_header(part, "X-File-Name", _last_segment) or part.filename or ""
        self.claimed_sha256 = self._agreed_header(part, "X-File-SHA256", str.lower)

    def _agreed_header(self, part: MultipartSegment, name: str, normal: Callable[[str], str]) -> str:
        """Return a header of the part or of the request, normalized. Raise a 400 if both have it and they differ."""
        of_part, of_request = (normal(text.strip()) for text in (part.header(name, ""), self.headers.get(name, "")))
        if of_part and of_request and of_part != of_request:
            raise bad_request(
                "headers_differ",
                f"The request's {name} is '{of_request[:100]}', that of the form's part '{self.file_part}' is "
                f"'{of_part[:100]}'; expected the same. Send one of them.",
            )
        return of_part or of_request

    def _extend(self, name: str, chunk: bytearray | bytes) -> None:
        limit_bytes = ATTESTATION_MAX_BYTES if name == "attestation" else FIELD_MAX_BYTES
        if len(self.small[name]) + len(chunk) > limit_bytes:
            raise too_large("part_too_large", f"The form's part '{name[:60]}' is over {human_size(limit_bytes)}.")
        self.small[name] += bytes(chunk)


def json_object(content: bytes) -> dict[str, Any] | None:
    """Return the object of JSON bytes, or None if they are something else."""
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _last_segment(name: str) -> str:
    """Return a file name without its folders, which some scripts send; Windows uses backslashes."""
    return name.replace("\\", "/").rpartition("/")[2]


def _length_missing() -> HubError:
    return bad_request("length_missing", "The body has no Content-Length and is not chunked; send one of them.")


def _over_limit(limit_bytes: int) -> HubError:
    return too_large(
        "too_large",
        f"The package is larger than this channel's limit of {human_size(limit_bytes)}. "
        "An owner can raise it in the channel's settings, an administrator also HUB_MAX_UPLOAD_BYTES.",
    )
