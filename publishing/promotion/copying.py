"""Bytes of a promotion: copied by the store itself, and removed again if the promotion fails."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from channels_app.models import Artifact, Channel
from hub.storage import StoreError, hashed, store
from publishing.attestations import promoted
from publishing.attestations.errors import VerifiedAttestation
from publishing.models import PromotedFile, Promotion
from publishing.promotion import reservations
from publishing.removal import removal

# Threads of one promotion, which wait for the store.
AT_ONCE = 8
RENEWED_EACH_S = 60


def copy_files(promotion: Promotion, source: Channel, target: Channel, files: Sequence[PromotedFile]) -> None:
    """Copy the bytes of `files` from the source to the target. It is safe to run twice. Raise StoreError.

    The threads don't use the database.
    """
    copies = [(f"{source}/{file}", f"{target}/{file}", file.size_bytes) for file in files]
    pool, renewed_at = ThreadPoolExecutor(AT_ONCE), time.monotonic()
    try:
        for _ in pool.map(_copy, copies):
            if time.monotonic() - renewed_at > RENEWED_EACH_S:
                reservations.renew(promotion)
                renewed_at = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)


def put_sidecars(promotion: Promotion, sources: Sequence[Artifact]) -> None:
    """Store the sidecars of the attestations that go along, before the rows name them."""
    for source in sources:
        promoted.put(_copy_of(source, promotion.target), going_along(promotion, source))


def going_along(promotion: Promotion, source: Artifact) -> list[VerifiedAttestation]:
    """Return the attestations of the artifact that go along."""
    return promoted.going_along(source, promotion.target, keeps_all=promotion.keeps_attestations)


def remove_copies(promotion: Promotion, sources: Sequence[Artifact], files: Sequence[PromotedFile]) -> None:
    """Delete the copies of a failed promotion, and quarantine artifacts of the target with replaced bytes.

    The names are locked. Copies that can't be deleted are left to the verification.
    """
    target = promotion.target
    existing = {
        (each.subdir, each.file_name): each
        for each in target.artifacts.filter(is_purged=False, file_name__in=[file.file_name for file in files])
    }
    with suppress(StoreError):
        for source in sources:
            if (source.subdir, source.file_name) not in existing:
                promoted.delete(_copy_of(source, target), going_along(promotion, source))
        for file in files:
            artifact = existing.get((file.subdir, file.file_name))
            if artifact is None:
                store().delete(f"{target}/{file}")
            elif artifact.sha256 != file.sha256 and hashed(store().open(str(artifact))) != artifact.sha256:
                removal.quarantine(artifact=artifact, found="those of a promotion that failed.")


def _copy(copy: tuple[str, str, int]) -> None:
    source, target, size_bytes = copy
    store().copy(source, target)
    found = store().stat(target)
    if found is None or found.size_bytes != size_bytes:
        raise StoreError(f"The copy {target} has {found and found.size_bytes} bytes, expected {size_bytes}.")


def _copy_of(source: Artifact, target: Channel) -> Artifact:
    return Artifact(channel=target, subdir=source.subdir, file_name=source.file_name)
