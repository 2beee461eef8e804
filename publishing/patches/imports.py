"""Imports of a patch_instructions.json or of a patch package, as conda-index takes them."""

import tempfile
from collections.abc import Mapping
from io import SEEK_END
from pathlib import Path
from threading import BoundedSemaphore
from typing import BinaryIO

from django.conf import settings

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages.queries import no_such_file
from hub import temporary
from hub.errors import unprocessable
from hub.http.request_body import slot_of
from hub.sizes import MIB, human_size
from hub.storage import store
from publishing.models import Patch
from publishing.patches import instructions, patch_package
from publishing.patches.changes import BadPatch
from publishing.patches.instructions import Parsed
from publishing.patches.patches import Outcome, run
from publishing.patches.plans import Plan

SOURCE_MAX_CHARACTERS = 150
PACKAGE_MAX_BYTES = 64 * MIB
# Large instructions take some hundred MiB of memory while they are read.
IMPORTS = BoundedSemaphore(1)
IMPORTS_WAIT_S = 30.0


def import_artifact(*, actor: Actor, channel: Channel, path: str, subdir: str = "", dry_run: bool = False) -> Outcome:
    """Import the patch package that lies in the channel as `path`, SUBDIR/FILE. Raise HubError 404 if it does not."""
    of, _, file_name = path.partition("/")
    found = Artifact.objects.filter(channel=channel, subdir=of, file_name=file_name).exclude(removal=Removal.DELETED)
    artifact = found.only("size_bytes", "file_name").first()
    if artifact is None:
        raise no_such_file(channel, of, file_name)
    if artifact.size_bytes > PACKAGE_MAX_BYTES:
        size, limit = human_size(artifact.size_bytes), human_size(PACKAGE_MAX_BYTES)
        raise unprocessable("bad_patch", f"{path} has {size}; a patch package has at most {limit}.")
    with tempfile.TemporaryDirectory(dir=settings.UPLOAD_DIR, prefix=temporary.prefix("patches")) as folder:
        copy = Path(folder, "package")
        with copy.open("wb") as target:
            target.writelines(store().open(f"{channel}/{path}"))
        with copy.open("rb") as file:
            return import_file(
                actor=actor, channel=channel, file=file, source=file_name, subdir=subdir, dry_run=dry_run
            )


def import_file(
    *,
    actor: Actor,
    channel: Channel,
    file: BinaryIO,
    source: str,
    subdir: str = "",
    dry_run: bool = False,
) -> Outcome:
    """Import a patch package, or a patch_instructions.json for `subdir`. `source` is the file's name.

    As in conda-index, the instructions of a subdir replace its former ones, and other subdirs keep theirs. Raise
    HubError 422 for a bad file.
    """
    with slot_of(IMPORTS, "imports of patches", wait_s=IMPORTS_WAIT_S):
        plan = _plan(channel, _parsed(file, subdir), source)
        return run(actor, channel, plan, dry_run=dry_run)


def _parsed(file: BinaryIO, subdir: str) -> dict[str, Parsed]:
    """Return subdir → instructions."""
    file_bytes = file.seek(0, SEEK_END)
    file.seek(0)
    try:
        return {of: instructions.parse(data) for of, data in patch_package.read(file, file_bytes, subdir)}
    except BadPatch as error:
        raise unprocessable("bad_patch", error.reason) from error


def _plan(channel: Channel, found: Mapping[str, Parsed], source: str) -> Plan:
    active = {patch.import_subdir: patch for patch in Patch.active(channel).exclude(import_subdir="")}
    new = [_imported(channel, of, parsed, source, active.get(of)) for of, parsed in found.items() if parsed.parts]
    ends = [active[of] for of in found if of in active]
    if not new and not ends:
        raise unprocessable("bad_patch", "The instructions name no file of a package, so there is nothing to import.")
    return Plan(action=Action.PATCH_IMPORT, subjects=new or ends, begins=new, ends=ends)


def _imported(channel: Channel, subdir: str, parsed: Parsed, source: str, former: Patch | None) -> Patch:
    """Return the instructions as an unsaved patch, at the position of the `former` ones."""
    source = "".join(filter(str.isprintable, source))[:SOURCE_MAX_CHARACTERS] or instructions.FILE_NAME
    patch = Patch(
        channel=channel,
        title=f"{source} for {subdir}",
        source=source,
        import_subdir=subdir,
        file_count=parsed.file_count,
        ignored=parsed.ignored,
        position=former.position if former else 0,
        replaces=former,
    )
    patch.parts = parsed.parts
    return patch
