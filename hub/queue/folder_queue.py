"""Celery's queue in a folder, for a hub without Redis: a transport of kombu, safe for concurrent use.

kombu's own filesystem transport writes a message under its final name, so a worker can read half of it and crash (kombu
issue 1551). Its bindings are in a shared file with the same weakness. Here a message appears complete, and each process
keeps its own bindings.

That transport also lists one folder with all queues for each message. Here each queue has a folder, and a listing is
used up before the next one.
"""

import time
import uuid
from collections import deque
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual
from kombu.utils.json import dumps, loads

SUFFIX = ".msg"
OLD_MESSAGES_INTERVAL_S = 1.0


class Channel(virtual.Channel):
    """A channel with the four methods that kombu asks of every virtual one: `_put`, `_get`, `_size` and `_purge`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listed: dict[str, deque[str]] = {}
        self._looked_for_old_at = 0.0

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns()}_{uuid.uuid4()}.{queue}"
        folder = self._folder(queue)
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(dumps(payload))
        unfinished.rename(folder / f"{name}{SUFFIX}")

    def _get(self, queue: str) -> Any:  # type: ignore[override]
        names = self._listed.get(queue) or self._list(queue)
        while names:
            path = self._folder(queue) / names.popleft()
            with suppress(FileNotFoundError):
                message = path.read_text()
                path.unlink()  # succeeds for only one of several readers
                return loads(message)
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def _purge(self, queue: str) -> int:
        names = self._names(queue)
        for name in names:
            (self._folder(queue) / name).unlink(missing_ok=True)
        return len(names)

    def _list(self, queue: str) -> deque[str]:
        """Return the names of all messages of a queue, the oldest first."""
        if time.monotonic() - self._looked_for_old_at > OLD_MESSAGES_INTERVAL_S:
            self._move_old()
            self._looked_for_old_at = time.monotonic()
        self._listed[queue] = deque(sorted(self._names(queue)))
        return self._listed[queue]

    def _names(self, queue: str) -> list[str]:
        return [path.name for path in self._folder(queue).iterdir() if path.suffix == SUFFIX]

    def _root(self) -> Path:
        client: Any = self.connection.client
        return Path(client.transport_options["data_folder_in"])

    def _folder(self, queue: str) -> Path:
        folder = self._root() / queue
        folder.mkdir(exist_ok=True)
        return folder

    def _move_old(self) -> None:
        """Move messages of an earlier version, `<nanoseconds>_<id>.<queue>.msg` in one folder, to their queues."""
        for path in self._root().glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                path.rename(self._folder(path.name.split(".")[-2]) / path.name)


class Transport(filesystem.Transport):
    Channel = Channel  # type: ignore[assignment]  # the stubs name kombu's own


TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"
