"""Probes of a folder store: free space, and hard links from the upload folder."""

import shutil

from django.conf import settings

from hub.sizes import human_size
from hub.storage.folder import FolderStore
from hub.storage.probes import LimitError, Probe, ProbeTarget


def has_room(target: ProbeTarget) -> str:
    free_bytes = shutil.disk_usage(_folder(target).root).free
    needed_bytes = settings.HUB_MAX_UPLOAD_BYTES
    found = f"{human_size(free_bytes)} are free"
    if free_bytes < needed_bytes:
        raise LimitError(
            f"{found}, less than one upload may have ({human_size(needed_bytes)}, HUB_MAX_UPLOAD_BYTES): "
            "larger uploads are refused. Free some space on the disk."
        )
    return f"{found}."


def links(target: ProbeTarget) -> str:
    """Probe hard links, with which the received file becomes the stored one without a copy."""
    (target.scratch / "linked").write_bytes(b"x")
    target.store.put(target.key("linked"), target.scratch / "linked")
    if (target.scratch / "linked").stat().st_nlink == 1:
        raise LimitError(
            "The store's folder and the upload folder are on different filesystems, so each upload is written twice. "
            "Put both on one filesystem."
        )
    return "Uploads are linked into the store, not copied."


PROBES: dict[str, Probe] = {"free space": has_room, "links": links}


def _folder(target: ProbeTarget) -> FolderStore:
    if not isinstance(target.store, FolderStore):
        raise TypeError(f"{target.store!r} is no folder.")
    return target.store
