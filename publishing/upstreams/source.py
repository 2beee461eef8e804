"""The index of a subdir of an upstream: shards where it has them, else repodata.json.zst, else repodata.json."""

import codecs
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from typing import IO, Any, NamedTuple, cast
from urllib.parse import urljoin

import msgpack
import zstandard

from hub.sizes import GIB, KIB, MIB, human_size
from publishing.index import repodata
from publishing.json_stream import BadJson
from publishing.models import UpstreamSubdir
from publishing.upstreams import errors, json_index, records
from publishing.upstreams.errors import NotThere
from publishing.upstreams.transport import Answer, Transport

FORMS = (repodata.SHARD_INDEX, repodata.REPODATA_ZST, repodata.REPODATA)
SHARDS_AT_ONCE = 8
SHARDS_AHEAD = 32
# Limits of one file, compressed and decompressed. conda-forge's largest are below a tenth of them.
SHARD_MAX_BYTES, SHARD_MAX_PLAIN_BYTES = 16 * MIB, 64 * MIB
SHARD_INDEX_MAX_BYTES, SHARD_INDEX_MAX_PLAIN_BYTES = 32 * MIB, 32 * MIB
# Maps and lists of one msgpack: each costs one byte there, and 64 bytes of memory.
CONTAINERS_MAX = 500_000
INDEX_MAX_BYTES, INDEX_MAX_PLAIN_BYTES = 1 * GIB, 8 * GIB
BASE_URL_MAX_CHARACTERS = 1000
SHARD_TIMEOUT_S, INDEX_TIMEOUT_S = 60.0, 600.0

NamedRecords = tuple[str, Mapping[str, Any]]


class Index(NamedTuple):
    """A changed index. `hashes`: name → hash of its records; `fetch` yields the records of names."""

    form: str
    etag: str
    last_modified: str
    base_url: str
    hashes: Mapping[str, str]
    fetch: Callable[[Sequence[str]], Iterator[NamedRecords]]


@contextmanager
def changed(transport: Transport, url: str, state: UpstreamSubdir) -> Iterator[Index | None]:
    """Yield the index of the subdir at `url`, or None if it is as `state` says. Raise NotThere if there is none."""
    for form in FORMS:
        try:
            with transport.get(f"{url}/{form}", timeout_s=INDEX_TIMEOUT_S, headers=_conditions(state, form)) as answer:
                if answer.status == 304:
                    yield None
                    return
                reader = _sharded if form == repodata.SHARD_INDEX else _plain
                with reader(transport, form, answer) as index:
                    yield index
                    return
        except NotThere:
            if form == FORMS[-1]:
                raise


def _conditions(state: UpstreamSubdir, form: str) -> dict[str, str]:
    if form != state.form:
        return {}
    known = {"If-None-Match": state.etag, "If-Modified-Since": state.last_modified}
    return {name: value for name, value in known.items() if value}


@contextmanager
def _sharded(transport: Transport, form: str, answer: Answer) -> Iterator[Index]:
    content = _unpacked(answer, SHARD_INDEX_MAX_BYTES, SHARD_INDEX_MAX_PLAIN_BYTES)
    try:
        hashes = {name: digest.hex() for name, digest in content["shards"].items()}
        base_url = _folder(answer.url, content["info"]["base_url"])
        shards_folder = _folder(answer.url, content["info"]["shards_base_url"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise errors.unreadable(answer.url, "it is no index of shards") from error

    def fetch(names: Sequence[str]) -> Iterator[NamedRecords]:
        urls = {name: f"{shards_folder}{hashes[name]}.msgpack.zst" for name in names}
        for name, content in _ahead(urls, lambda url: _shard(transport, url)):
            yield name, _records(urls[name], content)

    yield Index(form, answer.header("ETag"), answer.header("Last-Modified"), base_url, hashes, fetch)


def _ahead(urls: Mapping[str, str], fetch: Callable[[str], bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield name → fetched URL in this order. Threads fetch some of the next ones meanwhile."""
    waiting: deque[tuple[str, Future[bytes]]] = deque()
    with ThreadPoolExecutor(SHARDS_AT_ONCE) as pool:
        try:
            for name, url in urls.items():
                waiting.append((name, pool.submit(fetch, url)))
                if len(waiting) >= SHARDS_AHEAD:
                    first, fetched = waiting.popleft()
                    yield first, fetched.result()
            while waiting:
                first, fetched = waiting.popleft()
                yield first, fetched.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _shard(transport: Transport, url: str) -> bytes:
    """Return the bytes of a shard, named by their SHA-256."""
    try:
        with transport.get(url, timeout_s=SHARD_TIMEOUT_S) as answer:
            content = answer.read(SHARD_MAX_BYTES)
    except NotThere as error:
        raise errors.unreadable(url, "it is missing, but the index has it") from error
    if hashlib.sha256(content).hexdigest() != url.rpartition("/")[2].partition(".")[0]:
        raise errors.unreadable(url, "its bytes have another SHA-256 than its name")
    return content


def _records(url: str, content: bytes) -> dict[str, Any]:
    """Return file name → record of a shard."""
    try:
        return records.of_shard(_unpack(url, content, SHARD_MAX_PLAIN_BYTES))
    except (KeyError, TypeError) as error:
        raise errors.unreadable(url, "it is no shard") from error


@contextmanager
def _plain(transport: Transport, form: str, answer: Answer) -> Iterator[Index]:
    try:
        with json_index.opened(texts(form, answer)) as found:
            stated = found.info.get("base_url")
            yield Index(
                form,
                answer.header("ETag"),
                answer.header("Last-Modified"),
                _folder(answer.url, stated if isinstance(stated, str) else ""),
                found.hashes,
                lambda names: ((name, found.records(name)) for name in names),
            )
    except BadJson as error:
        raise errors.unreadable(answer.url, str(error)) from error


def texts(form: str, answer: Answer) -> Iterator[str]:
    """Yield the text of a large JSON file, which may be compressed. Raise UpstreamError if that is not possible."""
    chunks = answer.chunks(INDEX_MAX_BYTES)
    return _text(answer.url, _decompressed(answer.url, chunks) if form.endswith(".zst") else chunks)


def _text(url: str, chunks: Iterator[bytes]) -> Iterator[str]:
    ends_at = time.monotonic() + INDEX_TIMEOUT_S
    try:
        for text in codecs.iterdecode(chunks, "utf-8"):
            if time.monotonic() > ends_at:
                raise errors.too_slow(url)  # some kilobytes can decompress to what takes hours to read
            yield text
    except UnicodeDecodeError as error:
        raise errors.unreadable(url, "it is not UTF-8") from error


def _decompressed(url: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the plain bytes of a zstd frame, in pieces of bounded size."""
    reader = zstandard.ZstdDecompressor().stream_reader(cast(IO[bytes], _Reader(chunks)), read_across_frames=True)
    read_bytes = 0
    try:
        while chunk := reader.read(256 * KIB):
            read_bytes += len(chunk)
            if read_bytes > INDEX_MAX_PLAIN_BYTES:
                raise errors.too_large(url, human_size(INDEX_MAX_PLAIN_BYTES))
            yield chunk
    except zstandard.ZstdError as error:
        raise errors.unreadable(url, "it is no zstd") from error


class _Reader:
    """A file over chunks of bytes, as zstandard reads it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._left = chunks, b""

    def read(self, size: int) -> bytes:
        self._left = self._left or next(self._chunks, b"")
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def _unpacked(answer: Answer, most_bytes: int, most_plain_bytes: int) -> Any:
    return _unpack(answer.url, answer.read(most_bytes), most_plain_bytes)


def _unpack(url: str, content: bytes, most_plain_bytes: int) -> Any:
    try:
        plain = zstandard.ZstdDecompressor().stream_reader(content).read(most_plain_bytes + 1)
        if len(plain) > most_plain_bytes:
            raise errors.too_large(url, human_size(most_plain_bytes))
        counted = _counter(url)
        return msgpack.unpackb(plain, object_hook=counted, list_hook=counted)
    except (zstandard.ZstdError, ValueError, msgpack.UnpackException, RecursionError) as error:
        raise errors.unreadable(url, "it is no msgpack in zstd") from error


def _counter(url: str) -> Callable[[Any], Any]:
    """Return a hook that passes maps and lists on. It raises UpstreamError when there are too many."""
    numbers = count(1)

    def counted(value: Any) -> Any:
        if next(numbers) > CONTAINERS_MAX:
            raise errors.too_large(url, f"{CONTAINERS_MAX:,} maps and lists")
        return value

    return counted


def _folder(index_url: str, stated: str) -> str:
    """Return the URL of a folder that the index states, with a slash at its end. Empty: the folder of the index."""
    with suppress(ValueError):  # such as https://[::
        url = urljoin(index_url, stated or "./")
        if url.isprintable() and len(url) < BASE_URL_MAX_CHARACTERS:
            return url if url.endswith("/") else f"{url}/"
    raise errors.unreadable(index_url, "it states a URL that is not valid")
