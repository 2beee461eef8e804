"""Sources of imports: a channel's URL, or a folder or bucket in a channel's layout. They read and write no database."""

import base64
import re
import time
from codecs import iterdecode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol
from urllib.parse import quote, urljoin, urlsplit

import msgpack
import zstandard
from django.conf import settings

from hub import temporary
from hub.errors import unprocessable
from hub.fetching import FetchError, PrivateAddressError, StatusError, TooLargeError, download, how_to_allow
from hub.sizes import GIB, KIB, MIB, human_size
from hub.storage import NotInStore, Store
from publishing.imports import repodata_stream
from publishing.imports.repodata_stream import Entry
from publishing.json_stream import BadJson
from publishing.models import SourceKey
from publishing.record_filters import Filters
from publishing.verification.unknown_files import PACKAGE

Sink = Callable[[bytes], object]
SHARD_MAX_BYTES = 64 * MIB
SMALL_MAX_BYTES = 16 * MIB
INDEX_TIMEOUT_S = 600.0
SMALL_TIMEOUT_S = 60.0
# Seconds for a package, and bytes per second beyond them.
PACKAGE_TIMEOUT_S, SLOWEST_BYTES_PER_S = 60.0, 64 * KIB
PIECE_BYTES = 256 * KIB
# More names than this are read from the whole index.
SHARDS_MAX = 300
THREADS = 8
ABSENT = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an index: its bytes, its text once decompressed, and the moment by which all of it is read."""

    index_bytes: int = 2 * GIB
    text_bytes: int = 4 * GIB
    ends_at: float = inf


class SourceError(Exception):
    """The source failed for this file, or as a whole. The message is one sentence, without a secret."""


class PermanentError(SourceError):
    """The source would fail again."""


class AbsentError(PermanentError):
    """The source has no such file."""


class DeniedError(PermanentError):
    """The source refuses the key, or requires one. Every other request would fail as well."""


class Source(Protocol):
    """The packages of a source. `threads`: how many read it at once."""

    threads: int

    def entries(self, subdir: str, filters: Filters) -> Iterator[Entry]:
        """Yield the records of a subdir; none if the source lacks it. Raise SourceError."""

    def read(self, path: str, sink: Sink, *, size_bytes: int, max_bytes: int) -> None:
        """Give the bytes of the package or sidecar at `path` to `sink`. Raise SourceError or StoreError."""


@dataclass(slots=True)
class ChannelSource:
    """A channel at a URL. Each request goes through the checks of hub/fetching.py."""

    url: str
    key_kind: str = SourceKey.NONE
    key: str = field(default="", repr=False)
    limits: Limits = field(default_factory=Limits)
    threads: int = THREADS
    _bases: dict[str, str] = field(default_factory=dict)

    def entries(self, subdir: str, filters: Filters) -> Iterator[Entry]:
        names = filters.exact_names()
        if names is not None and len(names) <= SHARDS_MAX:
            with suppress(AbsentError):
                yield from self._of_shards(subdir, names)
                return
        with NamedTemporaryFile(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("import")) as file:
            for name in ("repodata.json.zst", "repodata.json"):
                file.truncate(file.seek(0))
                with suppress(AbsentError):
                    url = f"{self._root()}{subdir}/{name}"
                    self._fetch_at(url, f"{subdir}/{name}", file.write, self.limits.index_bytes, INDEX_TIMEOUT_S)
                    file.flush()
                    yield from self._of_document(subdir, Path(file.name), name)
                    return

    def read(self, path: str, sink: Sink, *, size_bytes: int, max_bytes: int) -> None:
        subdir, _, name = path.partition("/")
        folder = urljoin(f"{self._root()}{subdir}/", self._bases.get(subdir, ""))
        timeout_s = PACKAGE_TIMEOUT_S + size_bytes / SLOWEST_BYTES_PER_S
        self._fetch_at(f"{folder}{quote(name)}", path, sink, max_bytes, timeout_s)

    def _of_document(self, subdir: str, path: Path, name: str) -> Iterator[Entry]:
        info: dict[str, Any] = {}
        with _index_errors(f"{subdir}/{name}"), path.open("rb") as file:
            plain = zstandard.ZstdDecompressor().stream_reader(file) if name.endswith(".zst") else file
            yield from repodata_stream.entries(
                _texts(iter(lambda: plain.read(PIECE_BYTES), b""), self.limits.text_bytes), info
            )
        self._note_base(subdir, info)

    def _of_shards(self, subdir: str, names: Sequence[str]) -> Iterator[Entry]:
        """Yield the records of these names. Raise AbsentError if the source has no shards."""
        index = _unpacked(self._small(f"{subdir}/repodata_shards.msgpack.zst"))
        info, shards = index.get("info", {}), index.get("shards", {})
        self._note_base(subdir, info)
        folder = urljoin(f"{self._root()}{subdir}/", str(info.get("shards_base_url") or ".").rstrip("/") + "/")
        for name in names:
            if isinstance(digest := shards.get(name), bytes):
                shard = bytearray()
                self._fetch_at(f"{folder}{digest.hex()}.msgpack.zst", f"the shard of {name}", shard.extend)
                yield from _entries_of_shard(_unpacked(bytes(shard)))

    def _note_base(self, subdir: str, info: Mapping[str, Any]) -> None:
        base = info.get("base_url")
        if isinstance(base, str) and base:
            self._bases[subdir] = base.rstrip("/") + "/"

    def _small(self, path: str) -> bytes:
        body = bytearray()
        self._fetch_at(f"{self._root()}{quote(path)}", path, body.extend)
        return bytes(body)

    def _fetch_at(
        self,
        url: str,
        title: str,
        sink: Sink,
        max_bytes: int = SMALL_MAX_BYTES,
        timeout_s: float = SMALL_TIMEOUT_S,
    ) -> None:
        """Give the body at `url` to `sink`. Messages name `title`, not the URL. Only the source's host gets the key."""
        secrets = headers_of(self.key_kind, self.key) if urlsplit(url).netloc == urlsplit(self.url).netloc else {}
        timeout_s = min(timeout_s, self.limits.ends_at - time.monotonic())
        try:
            download(url, sink, headers={}, secrets=secrets, max_bytes=max_bytes, timeout_s=timeout_s)
        except StatusError as error:
            raise _kind_of(error.status)(f"The source answers {error.status} for {title}.") from None
        except TooLargeError:
            raise PermanentError(f"{title} has more than {human_size(max_bytes)}.") from None
        except PrivateAddressError:
            raise DeniedError(
                f"The source has a private address. {how_to_allow(urlsplit(url).netloc.lower())}"
            ) from None
        except FetchError as error:
            raise SourceError(self._without_secrets(str(error))) from None

    def _root(self) -> str:
        if self.key_kind != SourceKey.PATH:
            return f"{self.url}/"
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}/t/{quote(self.key, safe='')}{parts.path}/"

    def _without_secrets(self, text: str) -> str:
        """Return the message without the key, and without queries: those of redirects are signed."""
        for secret in (self.key, quote(self.key, safe="")):
            text = text.replace(secret, "***") if secret else text
        return re.sub(r"\?\S*", "", text)


@dataclass(slots=True)
class StoreSource:
    """A folder or a bucket in the layout of a channel, with or without an index. Only operators name one."""

    store: Store
    prefix: str = ""
    threads: int = THREADS

    def entries(self, subdir: str, filters: Filters) -> Iterator[Entry]:
        """Yield the packages of the listing first, then the facts of the index about them."""
        folder = f"{self.prefix}{subdir}/"
        for key in self.store.list(folder):
            name = key.removeprefix(folder)
            if PACKAGE.match(name):
                yield Entry(name, {"is_listed": True})
            elif PACKAGE.match(name.removesuffix(".sigs")):
                yield Entry(name.removesuffix(".sigs"), {"attestations_sha256": "?"})
        with suppress(NotInStore), _index_errors(f"{subdir}/repodata.json"):
            yield from repodata_stream.entries(
                _texts(self.store.open(f"{folder}repodata.json"), Limits().text_bytes), {}
            )

    def read(self, path: str, sink: Sink, *, size_bytes: int, max_bytes: int) -> None:
        try:
            for chunk in self.store.open(f"{self.prefix}{path}"):
                sink(chunk)
        except NotInStore:
            raise AbsentError(f"The source lacks {path}.") from None


def check_url(url: str) -> str:
    """Return the URL of a channel as it is stored. Raise HubError 422 for another text, or one with a key."""
    parts = urlsplit(url)
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc)
    if not parts.hostname or parts.scheme not in ("https", "http") or not is_plain or len(url) > 500:
        raise unprocessable("bad_source", "Expected the URL of a channel, such as https://conda.example.org/bioconda.")
    if parts.scheme == "http" and parts.netloc.lower() not in settings.HUB_INTERNAL_HOSTS:
        allow = how_to_allow(parts.netloc.lower())
        raise unprocessable("bad_source", f"Found an http URL; expected https. {allow}")
    if parts.path.startswith("/t/"):
        raise unprocessable(
            "bad_source", "The URL contains a key. State the URL without /t/KEY, and the key in its field."
        )
    return url.rstrip("/")


def headers_of(key_kind: str, key: str) -> dict[str, str]:
    """Return the headers that carry the key."""
    if key_kind == SourceKey.BEARER:
        return {"Authorization": f"Bearer {key}"}
    if key_kind == SourceKey.X_API_KEY:
        return {"X-API-Key": key}
    if key_kind == SourceKey.BASIC:
        return {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}
    return {}


def _kind_of(status: int) -> type[SourceError]:
    if status in ABSENT:
        return AbsentError
    if status in DENIED:
        return DeniedError
    return SourceError if status in (HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600)) else PermanentError


def _texts(chunks: Iterator[bytes], max_bytes: int) -> Iterator[str]:
    """Decode the chunks. Raise BadJson if there are more."""

    def bounded() -> Iterator[bytes]:
        left = max_bytes
        for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise BadJson(f"it has more than {human_size(max_bytes)}")
            yield chunk

    return iterdecode(bounded(), "utf-8")


@contextmanager
def _index_errors(title: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, zstandard.ZstdError) as error:
        raise SourceError(f"{title} of the source can't be read: {str(error)[:200]}.") from None


def _unpacked(content: bytes) -> dict[str, Any]:
    """Return the content of a shard or of an index of shards. Raise SourceError."""
    with _index_errors("An index of shards, or a shard,"):
        reader = zstandard.ZstdDecompressor().stream_reader(content)
        plain = reader.read(SHARD_MAX_BYTES + 1)
        if len(plain) > SHARD_MAX_BYTES:
            raise BadJson("it is too large")
        found = msgpack.unpackb(plain)
        if not isinstance(found, dict) or not all(isinstance(found.get(key, {}), dict) for key in ("info", "shards")):
            raise BadJson("it is no index")
        return found


def _entries_of_shard(content: dict[str, Any]) -> Iterator[Entry]:
    """Yield the entries of a shard, with SHA-256 as text, as in a repodata.json."""
    with _index_errors("A shard"):
        of_revision_3 = {f".{extension}": found for extension, found in dict(content.get("v3", {})).items()}
        sections = {"": content.get("packages", {}) | content.get("packages.conda", {}), **of_revision_3}
        for suffix, records in sections.items():
            for name, record in records.items():
                digest = record.get("sha256")
                yield Entry(name + suffix, record | {"sha256": digest.hex() if isinstance(digest, bytes) else digest})
        yield from (Entry(name, None) for name in content.get("removed", []) if isinstance(name, str))
