"""Sidecars (CEP 50): all attestations of one artifact as a JSON array, at `{file}.sigs.{sha256}` and at `{file}.sigs`.

The rows are the truth; each state of a sidecar is put into the store before the row that names it is committed, the
mutable `.sigs` after it, and the index follows. Only ever appended to: a bundle's bytes never change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from channels_app.access.permissions import Actor, Permission, check_still_allowed
from channels_app.audit import log
from channels_app.models import Artifact
from channels_app.packages import packages
from hub.errors import too_large, unavailable
from hub.storage import store
from publishing.attestations.errors import VerifiedAttestation
from publishing.index import builds
from publishing.models import Attestation

SIDECAR_MAX_BYTES = 4 * 1024 * 1024  # what rattler reads of one
CONTENT_TYPE = "application/json"
TRIES = 10


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The next state of a sidecar, in the store already: the bundle that it adds, at which place, and its SHA-256."""

    verified: VerifiedAttestation
    position: int
    sha256: str


def key(artifact: Artifact, sha256: str = "") -> str:
    """Where a state of the sidecar lies in the store; without `sha256`, the mutable one."""
    return f"{artifact}.sigs" + (f".{sha256}" if sha256 else "")


def put(artifact: Artifact, verified: VerifiedAttestation) -> Sidecar | None:
    """Put what the sidecar becomes with `verified`; None where it has that very bundle already.

    `artifact` may be one that has no row yet.
    """
    bundles = _bundles(artifact)
    if verified.bundle in bundles:
        return None
    content = joined([*bundles, verified.bundle])
    if len(content) > SIDECAR_MAX_BYTES:
        raise too_large(
            "attestations_too_large",
            f"With this attestation the {len(bundles) + 1} of {artifact} would be {len(content):,} bytes; "
            f"clients read at most {SIDECAR_MAX_BYTES:,}.",
        )
    sha256 = hashlib.sha256(content).hexdigest()
    store().put(key(artifact, sha256), content, content_type=CONTENT_TYPE)
    return Sidecar(verified, len(bundles), sha256)


def record(artifact: Artifact, sidecar: Sidecar) -> bool:
    """Within a transaction: `artifact` has this sidecar from its commit on; False where another came in between."""
    locked = Artifact.objects.select_for_update().get(pk=artifact.pk)
    if locked.attestations.count() != sidecar.position:
        return False
    verified = sidecar.verified
    locked.attestations.create(position=sidecar.position, bundle=verified.bundle, claims=verified.claims)
    artifact.attestations_sha256 = sidecar.sha256
    artifact.save(update_fields=["attestations_sha256"])
    transaction.on_commit(partial(publish, artifact))
    return True


def add(*, actor: Actor, artifact: Artifact, verified: VerifiedAttestation) -> Artifact:
    """Add an attestation to an artifact that is published already; none is lost where several come at once."""
    for _ in range(TRIES):
        sidecar = put(artifact, verified)
        if sidecar is None or _add(actor, artifact, sidecar):
            return artifact
    raise unavailable("attestations_changing", f"Others add attestations to {artifact} at this moment; try again.")


def remove(artifact: Artifact) -> None:
    """Within a transaction: forget every attestation of `artifact`; the store follows after the commit."""
    found = states(_bundles(artifact))
    if found:
        Attestation.objects.filter(artifact=artifact).delete()
        artifact.attestations_sha256 = ""
        artifact.save(update_fields=["attestations_sha256"])
        transaction.on_commit(partial(_delete, artifact, [key(artifact, sha256) for sha256 in found]))


def states(bundles: Sequence[str]) -> dict[str, bytes]:
    """Every state that a sidecar has had, the last one last: SHA-256 → content. All of them are kept."""
    contents = [joined(bundles[:count]) for count in range(1, len(bundles) + 1)]
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


def rewrite(artifact: Artifact) -> None:
    """Put every state into the store anew, from the rows, and have the artifact's row name the last one."""
    for sha256, content in states(_bundles(artifact)).items():
        store().put(key(artifact, sha256), content, content_type=CONTENT_TYPE)
    publish(artifact)
    with transaction.atomic():
        locked = packages.locked_artifact(artifact)
        last = next(reversed(states(_bundles(locked))), "")
        if locked.attestations_sha256 != last:
            Artifact.objects.filter(pk=locked.pk).update(attestations_sha256=last)
            builds.schedule_build(locked.channel, locked.subdir, [locked.package.name])


def take_in(artifact: Artifact, verified: Sequence[VerifiedAttestation]) -> None:
    """Within a transaction: record the attestations of a sidecar that lies in the store already."""
    for position, each in enumerate(verified):
        artifact.attestations.create(position=position, bundle=each.bundle, claims=each.claims)
    artifact.attestations_sha256 = hashlib.sha256(joined([each.bundle for each in verified])).hexdigest()
    artifact.save(update_fields=["attestations_sha256"])


def publish(artifact: Artifact) -> None:
    """Bring the mutable `.sigs` in step with the rows; whoever finds newer ones after its put, puts them too."""
    bundles = None
    while (newer := _bundles(artifact)) != bundles:
        bundles = newer
        if bundles:
            store().put(key(artifact), joined(bundles), content_type=CONTENT_TYPE)
        else:
            store().delete(key(artifact))


@transaction.atomic
def _add(actor: Actor, artifact: Artifact, sidecar: Sidecar) -> bool:
    check_still_allowed(actor, artifact.channel, Permission.UPLOAD)
    if not record(artifact, sidecar):
        return False
    target = f"{artifact.subdir}/{artifact.file_name}"
    log.record("artifact.attest", by=actor, channel=artifact.channel, target=target)
    builds.schedule_build(artifact.channel, artifact.subdir, [artifact.package.name])
    return True


def _delete(artifact: Artifact, keys: Sequence[str]) -> None:
    for each in keys:
        store().delete(each)
    publish(artifact)


def _bundles(artifact: Artifact) -> list[str]:
    """By its place, not by its row, which may be yet to come or gone already."""
    place = {"channel": artifact.channel_id, "subdir": artifact.subdir, "file_name": artifact.file_name}
    found = Attestation.objects.filter(**{f"artifact__{name}": value for name, value in place.items()})
    return list(found.values_list("bundle", flat=True))


def joined(bundles: Sequence[str]) -> bytes:
    return f"[{','.join(bundles)}]".encode()
