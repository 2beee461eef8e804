"""Sidecars (CEP 50): all attestations of one artifact as a JSON array, at `{file}.sigs.{sha256}` and at `{file}.sigs`.

The database is authoritative. Each new state of a sidecar is stored before the commit of the row that names it. The
mutable `.sigs` is stored after the commit, and the index is built after that. Attestations are only appended; a
bundle's bytes never change.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import transaction

from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, check_still_allowed
from channels_app.audit import log
from channels_app.models import Artifact
from channels_app.packages import packages
from hub.errors import too_large, unavailable
from hub.sizes import MIB
from hub.storage import store
from publishing.attestations.errors import VerifiedAttestation
from publishing.index import builds
from publishing.models import Attestation

SIDECAR_MAX_BYTES = 4 * MIB  # rattler reads no more
CONTENT_TYPE = "application/json"
TRIES = 10


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The next state of a sidecar, which is stored already.

    It has the bundle that this state adds, the position of that bundle, and the state's own SHA-256.
    """

    verified: VerifiedAttestation
    position: int
    sha256: str


def key(artifact: Artifact, sha256: str = "") -> str:
    """Return the key of a sidecar in the store: of the state with this SHA-256, or of the mutable one."""
    return f"{artifact}.sigs" + (f".{sha256}" if sha256 else "")


def put(artifact: Artifact, verified: VerifiedAttestation) -> Sidecar | None:
    """Store the sidecar with `verified` appended, and return it; None if the sidecar has that bundle already.

    `artifact` may lack a row so far. Raise HubError 413 if the sidecar gets too large.
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
    """Record the new state of the sidecar within the caller's transaction.

    Return False if another attestation was added since `put`.
    """
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
    """Add an attestation to a published artifact; retry if others are added at the same time."""
    for _ in range(TRIES):
        sidecar = put(artifact, verified)
        if sidecar is None or _add(actor, artifact, sidecar):
            return artifact
    raise unavailable("attestations_changing", f"Others add attestations to {artifact} at this moment; try again.")


def remove(artifact: Artifact) -> None:
    """Delete every attestation of `artifact` within the caller's transaction; their files follow after the commit."""
    found = states(_bundles(artifact))
    if found:
        Attestation.objects.filter(artifact=artifact).delete()
        artifact.attestations_sha256 = ""
        artifact.save(update_fields=["attestations_sha256"])
        transaction.on_commit(partial(_delete, artifact, [key(artifact, sha256) for sha256 in found]))


def states(bundles: Sequence[str]) -> dict[str, bytes]:
    """Return every state that a sidecar has had, the current one last, as SHA-256 → content. All of them are stored."""
    contents = [joined(bundles[:count]) for count in range(1, len(bundles) + 1)]
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


def rewrite(artifact: Artifact) -> None:
    """Store every state again from the rows, and correct the hash in the artifact's row."""
    for sha256, content in states(_bundles(artifact)).items():
        store().put(key(artifact, sha256), content, content_type=CONTENT_TYPE)
    publish(artifact)
    with transaction.atomic():
        locked = packages.locked_artifact(artifact)
        last = next(reversed(states(_bundles(locked))), "")
        if locked.attestations_sha256 != last:
            Artifact.objects.filter(pk=locked.pk).update(attestations_sha256=last)
            builds.schedule_build(locked.channel, locked.subdir, [locked.package.name])


def record_stored(artifact: Artifact, verified: Sequence[VerifiedAttestation]) -> None:
    """Record the attestations of a sidecar that is stored already, within the caller's transaction."""
    for position, each in enumerate(verified):
        artifact.attestations.create(position=position, bundle=each.bundle, claims=each.claims)
    artifact.attestations_sha256 = hashlib.sha256(joined([each.bundle for each in verified])).hexdigest()
    artifact.save(update_fields=["attestations_sha256"])


def publish(artifact: Artifact) -> None:
    """Update the mutable `.sigs` from the rows, and repeat this if the rows changed meanwhile."""
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
    target = artifact.path
    log.record(Action.ARTIFACT_ATTEST, by=actor, channel=artifact.channel, target=target)
    builds.schedule_build(artifact.channel, artifact.subdir, [artifact.package.name])
    return True


def _delete(artifact: Artifact, keys: Sequence[str]) -> None:
    for each in keys:
        store().delete(each)
    publish(artifact)


def _bundles(artifact: Artifact) -> list[str]:
    """Select by place instead of by row, since the row of the artifact may not exist yet or no more."""
    place = {"channel": artifact.channel_id, "subdir": artifact.subdir, "file_name": artifact.file_name}
    found = Attestation.objects.filter(**{f"artifact__{name}": value for name, value in place.items()})
    return list(found.values_list("bundle", flat=True))


def joined(bundles: Sequence[str]) -> bytes:
    return f"[{','.join(bundles)}]".encode()
