"""Celery's queue in a folder, for a hub without Redis: kombu's filesystem transport, made safe for concurrent use.

kombu writes a message under its final name, so that a worker may read half of it and die (kombu issue 1551), and shares
its bindings in a file with the same weakness. Here a message appears whole, and each process keeps its own bindings.
kombu also lists the folder of all queues anew for each message. Here each queue has a folder, and a list is used up
before the next one is made.
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
LOOKS_FOR_OLD_S = 1.0


class Channel(filesystem.Channel):
    supports_fanout = False
    get_table = virtual.Channel.get_table  # type: ignore[assignment]  # other stubs for one tuple
    _delete = virtual.Channel._delete

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
                path.unlink()  # of several readers it succeeds for one
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
        """The names of all messages of a queue, the oldest first."""
        if time.monotonic() - self._looked_for_old_at > LOOKS_FOR_OLD_S:
            self._move_old()
            self._looked_for_old_at = time.monotonic()
        self._listed[queue] = deque(sorted(self._names(queue)))
        return self._listed[queue]

    def _names(self, queue: str) -> list[str]:
        return [path.name for path in self._folder(queue).iterdir() if path.suffix == SUFFIX]

    def _folder(self, queue: str) -> Path:
        folder = Path(self.data_folder_in, queue)
        folder.mkdir(exist_ok=True)
        return folder

    def _move_old(self) -> None:
        """Put messages of an earlier version, `<nanoseconds>_<id>.<queue>.msg` in one folder, where they belong."""
        for path in Path(self.data_folder_in).glob(f"*{SUFFIX}"):
            with suppress(FileNotFoundError):
                path.rename(self._folder(path.name.split(".")[-2]) / path.name)


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"
