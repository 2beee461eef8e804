"""Files of a source, fetched and checked in threads. They never use the database."""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

from channels_app.access.permissions import Actor
from channels_app.models import Channel
from hub.errors import HubError, too_large, unprocessable
from hub.http.request_body import ReceivedFile, filled
from hub.sizes import MIB
from publishing.attestations.errors import VerifiedAttestation
from publishing.attestations.sidecars import SIDECAR_MAX_BYTES
from publishing.imports import attested
from publishing.imports.listing import Listed
from publishing.imports.records import CheckedPackage, ImportOutcome
from publishing.imports.sources import AbsentError, DeniedError, PermanentError, Sink, Source, SourceError
from publishing.uploads import upload
from publishing.uploads.values import Upload

# Files that are fetched ahead of the next one to record, and their bytes on disk.
AHEAD, AHEAD_BYTES = 64, 512 * MIB
NICE = 10
# Seconds before a failed request is repeated.
PAUSES_S = (1.0, 5.0, 20.0)


@dataclass(slots=True)
class Fetched:
    """A file of the source, and its result. Close `files` to free its disk space.

    `is_absent`: the source has it no more. `is_fault`: the source failed.
    """

    listed: Listed
    result: CheckedPackage | ImportOutcome
    is_absent: bool = False
    is_fault: bool = False
    files: ExitStack = field(default_factory=ExitStack)

    @property
    def size_bytes(self) -> int:
        return self.result.upload.received.size_bytes if isinstance(self.result, CheckedPackage) else 0


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches and checks files for one channel."""

    source: Source
    channel: Channel
    actor: Actor
    gate: Lock
    stopped: threading.Event

    def fetch(self, listed: Listed) -> Fetched:
        """Fetch and check one file as soon as no batch is being written. Raise DeniedError."""
        key = f"{self.channel}/{listed.path}"
        with self.gate:
            pass
        files = ExitStack()
        try:
            return Fetched(listed, self._checked(key, listed, files), files=files)
        except SourceError as error:
            files.close()
            if isinstance(error, DeniedError):
                raise
            refusal = ImportOutcome(key, str(error))
            is_absent, is_fault = isinstance(error, AbsentError), not isinstance(error, PermanentError)
            return Fetched(listed, refusal, is_absent=is_absent, is_fault=is_fault)
        except HubError as error:
            files.close()
            return Fetched(listed, ImportOutcome(key, error.detail))

    def _checked(self, key: str, listed: Listed, files: ExitStack) -> CheckedPackage:
        received = self._received(listed, files)
        if listed.sha256 and received.sha256 != listed.sha256:
            raise unprocessable(
                "checksum_mismatch",
                f"Its bytes have the SHA-256 {received.sha256}; the index of the source states {listed.sha256}.",
            )
        info = upload.read(self.channel, received)
        if (info.subdir, info.file_name) != (listed.subdir, listed.file_name):
            raise unprocessable("wrong_place", f"Its path should be {info.subdir}/{info.file_name}.")
        verified, note = self._attestations(listed, received) if listed.is_attested else ([], "")
        return CheckedPackage.of(key, Upload(self.actor, self.channel, received, info), verified, note)

    def _received(self, listed: Listed, files: ExitStack) -> ReceivedFile:
        """Return the file. Repeat a request that failed, unless the import stops."""
        limit_bytes = self.channel.upload_limit_bytes
        size_bytes = listed.size_bytes or limit_bytes
        if size_bytes > limit_bytes:
            raise too_large("too_large", f"It {upload.over_limit(size_bytes, limit_bytes)}")

        def fill(write: Sink) -> None:
            self.source.read(listed.path, write, size_bytes=size_bytes, max_bytes=limit_bytes)

        pauses = iter(PAUSES_S)
        while True:
            try:
                return files.enter_context(filled(fill, listed.file_name, purpose="import", limit_bytes=limit_bytes))
            except SourceError as error:
                pause_s = next(pauses, None)
                if isinstance(error, PermanentError) or pause_s is None or self.stopped.wait(pause_s):
                    raise

    def _attestations(self, listed: Listed, received: ReceivedFile) -> tuple[list[VerifiedAttestation], str]:
        content = bytearray()
        path = f"{listed.path}.sigs"
        try:
            self.source.read(path, content.extend, size_bytes=SIDECAR_MAX_BYTES, max_bytes=SIDECAR_MAX_BYTES)
        except AbsentError:
            return [], ""
        except SourceError as error:
            return [], f"Its attestations were left out: {error}"
        return attested.verified(self.channel, bytes(content), received)


@contextmanager
def fetching(fetcher: Fetcher, threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads of low priority. Stop them at the end."""
    pool = ThreadPoolExecutor(threads, "import", be_nice)
    try:
        yield pool
    finally:
        fetcher.stopped.set()
        pool.shutdown(cancel_futures=True)


def in_order(pool: ThreadPoolExecutor, fetcher: Fetcher, wanted: Sequence[Listed]) -> Iterator[Fetched]:
    """Yield the files in order. Few of them, and few bytes, are fetched ahead. Raise DeniedError."""
    waiting: deque[tuple[Future[Fetched], int]] = deque()
    left, ahead_bytes = iter(wanted), 0
    try:
        while True:
            while len(waiting) < AHEAD and (not waiting or ahead_bytes < AHEAD_BYTES):
                found = next(islice(left, 1), None)
                if found is None:
                    break
                size_bytes = found.size_bytes or MIB
                waiting.append((pool.submit(fetcher.fetch, found), size_bytes))
                ahead_bytes += size_bytes
            if not waiting:
                return
            future, size_bytes = waiting.popleft()
            ahead_bytes -= size_bytes
            yield future.result()
    finally:
        _close(waiting)


def _close(waiting: deque[tuple[Future[Fetched], int]]) -> None:
    for future, _ in waiting:
        if not future.cancel():
            future.add_done_callback(_closed)


def _closed(future: Future[Fetched]) -> None:
    if not future.cancelled() and future.exception() is None:
        future.result().files.close()


def be_nice() -> None:
    """Give way to the hub's other threads. Linux has a priority for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
