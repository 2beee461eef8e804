"""Index files without packages, which the hub serves until the first build."""

from functools import cache

import zstandard

from channels_app.identifiers import KNOWN_SUBDIRS
from publishing.index import repodata, shards

NEVER_BUILT = "1970-01-01T00:00:00Z"


def empty_file(subdir: str, file_name: str) -> bytes | None:
    """Return an empty but valid index file for a known subdir, or None if there is no such file."""
    if subdir and subdir not in KNOWN_SUBDIRS:
        return None
    files = _empty_subdir_files(subdir) if subdir else empty_channel_files()
    return files.get(file_name)


def empty_channel_files() -> dict[str, bytes]:
    return {
        repodata.CHANNELDATA: _without_sections(repodata.channeldata_layout(["noarch"])),
        repodata.NOTICES: repodata.EMPTY_NOTICES,
    }


@cache
def _empty_subdir_files(subdir: str) -> dict[str, bytes]:
    content = _without_sections(repodata.repodata_layout(subdir))
    run_exports = _without_sections(repodata.run_exports_layout(subdir))
    return {
        repodata.SHARD_INDEX: shards.shard_index(subdir, {}, created_at=NEVER_BUILT),
        repodata.REPODATA: content,
        repodata.REPODATA_ZST: zstandard.compress(content),
        repodata.FROM_PACKAGES: content,
        repodata.FROM_PACKAGES_ZST: zstandard.compress(content),
        repodata.CURRENT: content,
        repodata.CURRENT_ZST: zstandard.compress(content),
        repodata.RUN_EXPORTS: run_exports,
        repodata.RUN_EXPORTS_ZST: zstandard.compress(run_exports),
    }


def _without_sections(layout: repodata.Layout) -> bytes:
    return "".join(part for part in layout if isinstance(part, str)).encode()
