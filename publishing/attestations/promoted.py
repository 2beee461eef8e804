"""Attestations that go along when an artifact is promoted to another channel.

A publish attestation may name its channel (`targetChannel` of CEP 27). Clients of another channel refuse such a one.
"""

from collections.abc import Iterable, Sequence

from django.conf import settings

from channels_app.models import Artifact, Channel
from hub.storage import store
from publishing.attestations import sidecars, statement
from publishing.attestations.errors import VerifiedAttestation
from publishing.models import Attestation


def going_along(source: Artifact, target: Channel, *, keeps_all: bool) -> list[VerifiedAttestation]:
    """Return the attestations of `source` that hold in `target`, or all of them with `keeps_all`."""
    found = source.attestations.all() if source.attestations_sha256 else ()
    return [VerifiedAttestation(each.bundle, each.claims) for each in found if keeps_all or _holds(each.bundle, target)]


def with_lasting(sources: Iterable[Artifact], target: Channel) -> set[int]:
    """Return the ids of those artifacts that have an attestation which holds in `target`."""
    attested = [source.pk for source in sources if source.attestations_sha256]
    if not attested:
        return set()
    found = Attestation.objects.filter(artifact__in=attested).order_by().values_list("artifact", "bundle")
    return {pk for pk, bundle in found.iterator(chunk_size=100) if _holds(bundle, target)}


def put(artifact: Artifact, attestations: Sequence[VerifiedAttestation]) -> None:
    """Store every state of the sidecar with these attestations, before the commit of the row that names it."""
    for sha256, content in sidecars.states([each.bundle for each in attestations]).items():
        store().put(sidecars.key(artifact, sha256), content, content_type=sidecars.CONTENT_TYPE)


def delete(artifact: Artifact, attestations: Sequence[VerifiedAttestation]) -> None:
    """Delete the states that put() has stored."""
    for sha256 in sidecars.states([each.bundle for each in attestations]):
        store().delete(sidecars.key(artifact, sha256))


def _holds(bundle: str, target: Channel) -> bool:
    return statement.target_channel(bundle) in (None, f"{settings.HUB_PUBLIC_URL}/{target}")
