"""Comparison of the artifacts and attestation sidecars in the store with their rows.

Uploads and deletions may run at the same time. So each apparent difference is compared again with fresh rows before it
is reported.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from channels_app.models import Artifact, Channel
from hub.storage import NotInStore, hashed, store
from publishing.attestations import sidecars
from publishing.models import Attestation, Reservation
from publishing.verification.differences import Difference, DifferenceKind
from publishing.verification.inventory import KEYS_AT_ONCE, Inventory

READS_AT_ONCE = 8
# A sidecar is written after its rows are committed.
SIDECAR_FOLLOWS = timedelta(minutes=1)
FIELDS = ("channel__name", "subdir", "file_name", "size_bytes", "sha256", "quarantine_reason", "attestations_sha256")
NOT_THERE = "nothing"
REPAIR_PACKAGE = (
    "Put the file back from a backup, or upload it again; until then --repair leaves it out of the index and a later "
    "verification puts it back."
)
REPAIR_SIDECAR = "--repair rewrites it from the database."


def check(channel: Channel, inventory: Inventory, *, is_hashed: bool) -> Iterator[Difference]:
    for batch in _batches(channel):
        sizes = inventory.sizes(map(str, batch))
        rights = _are_right(batch, sizes, is_hashed=is_hashed)
        for artifact, is_right in zip(batch, rights, strict=True):
            if not is_right or artifact.is_damaged:
                yield from _recheck(artifact.pk, is_hashed=is_hashed)
        yield from _sidecars(batch, inventory, is_hashed=is_hashed)


def _batches(channel: Channel) -> Iterator[list[Artifact]]:
    """Yield every artifact that should have bytes, including yanked ones and deleted ones that are not purged."""
    rows = Artifact.objects.filter(channel=channel, is_purged=False).select_related("channel").only(*FIELDS)
    after = 0
    while batch := list(rows.filter(pk__gt=after).order_by("pk")[:KEYS_AT_ONCE]):
        yield batch
        after = batch[-1].pk


def _are_right(batch: Sequence[Artifact], sizes: Mapping[str, int], *, is_hashed: bool) -> list[bool]:
    if not is_hashed:
        return [sizes.get(str(artifact)) == artifact.size_bytes for artifact in batch]
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return list(pool.map(lambda artifact: not _fault(artifact, is_hashed=True), batch))


def _recheck(artifact_id: int, *, is_hashed: bool) -> Iterator[Difference]:
    """Compare the artifact again and yield the difference. A damaged artifact differs only if its bytes are correct."""
    artifact = Artifact.objects.filter(pk=artifact_id, is_purged=False).select_related("channel", "package").first()
    if artifact is None:
        return
    fault = _fault(artifact, is_hashed=is_hashed or artifact.is_damaged)
    if bool(fault) == artifact.is_damaged or not _is_unchanged(artifact):
        return
    key = str(artifact)
    if not fault:
        yield Difference(
            DifferenceKind.RIGHT_AGAIN, key, "Its bytes are right again; --repair puts it back into the index."
        )
    elif fault == NOT_THERE:
        yield Difference(
            DifferenceKind.MISSING_BYTES, key, f"Found nothing, expected {_expected(artifact)}. {REPAIR_PACKAGE}"
        )
    else:
        yield Difference(
            DifferenceKind.WRONG_BYTES, key, f"Found {fault}, expected {_expected(artifact)}. {REPAIR_PACKAGE}"
        )


def _fault(artifact: Artifact, *, is_hashed: bool) -> str:
    """Describe the content that the store has instead of the artifact's bytes. Return "" if they are correct."""
    key = str(artifact)
    found = store().stat(key)
    if found is None:
        return NOT_THERE
    if found.size_bytes != artifact.size_bytes:
        return f"{found.size_bytes:,} bytes"
    try:
        sha256 = hashed(store().open(key)) if is_hashed else artifact.sha256
    except NotInStore:
        return NOT_THERE
    return "" if sha256 == artifact.sha256 else f"the SHA-256 {sha256[:16]}…"


def _expected(artifact: Artifact) -> str:
    return f"{artifact.size_bytes:,} bytes with the SHA-256 {artifact.sha256[:16]}…"


@transaction.atomic
def _is_unchanged(artifact: Artifact) -> bool:
    """Tell whether the compared row is unchanged, without an upload in progress or a purge."""
    place = {"channel": artifact.channel_id, "subdir": artifact.subdir, "file_name": artifact.file_name}
    same = Artifact.objects.select_for_update().filter(pk=artifact.pk, sha256=artifact.sha256, is_purged=False)
    return same.exists() and not Reservation.objects.filter(**place).exists()


def _sidecars(batch: Sequence[Artifact], inventory: Inventory, *, is_hashed: bool) -> Iterator[Difference]:
    bundles: dict[int, list[str]] = defaultdict(list)
    for artifact_id, bundle in Attestation.objects.filter(artifact__in=batch).values_list("artifact_id", "bundle"):
        bundles[artifact_id].append(bundle)
    for artifact in batch:
        if not bundles[artifact.pk] and not artifact.attestations_sha256:
            continue
        expected = _expected_sidecars(artifact, bundles[artifact.pk])
        sizes = inventory.sizes(expected)
        is_whole = sizes == {key: len(content) for key, content in expected.items()}
        if is_hashed or not is_whole or not _names_last(artifact, expected):
            yield from _recheck_sidecar(artifact.pk, is_hashed=is_hashed)


def _expected_sidecars(artifact: Artifact, bundles: Sequence[str]) -> dict[str, bytes]:
    """Return key → content: each state under its SHA-256, and the last state also under `.sigs`."""
    states = sidecars.states(bundles)
    found = {sidecars.key(artifact, sha256): content for sha256, content in states.items()}
    return found | ({sidecars.key(artifact): list(states.values())[-1]} if states else {})


def _names_last(artifact: Artifact, expected: Mapping[str, bytes]) -> bool:
    sha256 = artifact.attestations_sha256
    last = expected.get(sidecars.key(artifact))
    return (hashlib.sha256(last).hexdigest() if last else "") == sha256


def _recheck_sidecar(artifact_id: int, *, is_hashed: bool) -> Iterator[Difference]:
    artifact = Artifact.objects.filter(pk=artifact_id, is_purged=False).select_related("channel").first()
    if artifact is None:
        return
    attestations = list(artifact.attestations.all())
    if any(each.created_at > timezone.now() - SIDECAR_FOLLOWS for each in attestations):
        return
    expected = _expected_sidecars(artifact, [each.bundle for each in attestations])
    if not _names_last(artifact, expected):
        yield Difference(
            DifferenceKind.SIDECAR, str(artifact), f"Its row doesn't name its last sidecar. {REPAIR_SIDECAR}"
        )
    for key, content in expected.items():
        if fault := _sidecar_fault(key, content, is_hashed=is_hashed):
            yield Difference(
                DifferenceKind.SIDECAR, key, f"Found {fault}, expected {len(content):,} bytes. {REPAIR_SIDECAR}"
            )


def _sidecar_fault(key: str, content: bytes, *, is_hashed: bool) -> str:
    found = store().stat(key)
    if found is None:
        return NOT_THERE
    if found.size_bytes != len(content):
        return f"{found.size_bytes:,} bytes"
    return "other bytes" if is_hashed and hashed(store().open(key)) != hashlib.sha256(content).hexdigest() else ""
