"""Celery's queue in a folder, for a hub without Redis: kombu's filesystem transport, made safe for concurrent use.

kombu writes a message under its final name, so that a worker may read half of it and die (kombu issue 1551), and shares
its bindings in a file with the same weakness. Here a message appears whole, and each process keeps its own bindings.
"""

import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    supports_fanout = False
    get_table = virtual.Channel.get_table  # type: ignore[assignment]  # other stubs for one tuple
    _delete = virtual.Channel._delete

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        name = f"{time.time_ns()}_{uuid.uuid4()}"
        unfinished = Path(self.data_folder_out, f"{name}.unfinished")
        unfinished.write_text(dumps(payload))
        unfinished.rename(Path(self.data_folder_out, f"{name}.{queue}.msg"))


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES["folder"] = f"{__name__}:Transport"
