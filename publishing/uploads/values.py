"""Values that the steps of an upload share."""

from dataclasses import dataclass
from typing import Any

from channels_app.access.permissions import Actor
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel
from channels_app.quotas import quotas
from hub.http.request_body import ReceivedFile
from publishing.archive.reader import PackageInfo


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload: its actor, channel, file, and the payer if there is a quota.

    `access_revision`: read before the actor's right was checked. `may_restore`: False for a browser session that must
    sign in again first. `replaces_deleted`: the bytes may take the name of a deleted file, if `force` is set. `labels`:
    those of the file; empty: `main`.
    """

    actor: Actor
    channel: Channel
    received: ReceivedFile
    info: PackageInfo
    force: bool = False
    access_revision: int | None = None
    payer: quotas.Payer | None = None
    may_restore: bool = True
    replaces_deleted: bool = False
    labels: tuple[str, ...] = ()

    @property
    def is_main(self) -> bool:
        """Tell whether the file comes into the channel's own index."""
        return not self.labels or MAIN_LABEL in self.labels

    @property
    def place(self) -> dict[str, Any]:
        """Return the columns that identify the file."""
        return {"channel": self.channel, "subdir": self.info.subdir, "file_name": self.info.file_name}


@dataclass(frozen=True, slots=True)
class UploadResult:
    """The artifact. `is_new` is False if the same bytes were published already."""

    artifact: Artifact
    is_new: bool
