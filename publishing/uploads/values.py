"""The values that the steps of an upload pass on."""

from dataclasses import dataclass
from typing import Any

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel
from channels_app.quotas import quotas
from hub.http.request_body import ReceivedFile
from publishing.archive.reader import PackageInfo


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload: its actor, channel and file, and who pays for it, where there is a quota.

    `epoch`: the access epoch from before their right was asked for. `may_restore`: not by a browser that would have to
    prove first who it is.
    """

    actor: Actor
    channel: Channel
    received: ReceivedFile
    info: PackageInfo
    force: bool = False
    epoch: int | None = None
    payer: quotas.Payer | None = None
    may_restore: bool = True

    @property
    def place(self) -> dict[str, Any]:
        """The columns that name the file."""
        return {"channel": self.channel, "subdir": self.info.subdir, "file_name": self.info.file_name}


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The artifact, and whether this upload made it (or the same bytes were there already)."""

    artifact: Artifact
    is_new: bool
