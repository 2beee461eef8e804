"""Provenance of an artifact: the proven facts of its build, for its page and for programs."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from channels_app.models import Artifact

# The id (SHA-256 of the key) of the public Sigstore log, which has a web page for every entry.
SEARCHABLE_LOG_ID = "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d"
SEARCH_URL = "https://search.sigstore.dev/?logIndex="


@dataclass(frozen=True, slots=True)
class Attested:
    """A verified attestation: the claims of its certificate, the time of signing, and its log entry."""

    claims: dict[str, str]
    signed_at: datetime
    log_index: str
    log_url: str


@dataclass(frozen=True, slots=True)
class BuildProvenance:
    """Provenance of a build. `run` has the keys of an identity token's provenance: provider, repository, commit, …"""

    state: str  # attested, published or unknown
    run: dict[str, str]
    attestations: list[Attested]
    sidecar_url: str


def of(artifact: Artifact) -> BuildProvenance:
    """Return the provenance by the uploading identity token, else by the first attestation's certificate.

    Costs at most one query.
    """
    attested = []
    if artifact.attestations_sha256:
        attested = [_attested(each) for each in artifact.attestations.values_list("claims", flat=True)]
    run = artifact.provenance or (_certified_run(attested[0].claims) if attested else {})
    state = "attested" if attested else "published" if run else "unknown"
    path = f"{artifact.channel}/{artifact.path}.sigs.{artifact.attestations_sha256}"
    return BuildProvenance(state, run, attested, f"{settings.HUB_PUBLIC_URL}/{path}" if attested else "")


def as_json(artifact: Artifact) -> dict[str, Any]:
    """Return the response of `GET …/provenance`; docs/api.md describes it."""
    found = of(artifact)
    return {
        "state": found.state,
        "sha256": artifact.sha256,
        "provenance": found.run,
        "attestations": [
            {
                "signed_at": each.signed_at.isoformat(),
                "log_index": each.log_index,
                "log_url": each.log_url,
                "certificate": each.claims,
            }
            for each in found.attestations
        ],
        "attestations_sha256": artifact.attestations_sha256,
        "attestations_url": found.sidecar_url,
    }


def verify_command(artifact: Artifact, found: BuildProvenance) -> str:
    """Return the `rattler` command that verifies the first attestation; empty without one.

    The command trusts the public Sigstore, so it is empty if the hub trusts a private one.
    """
    if not found.attestations or settings.HUB_TRUST_ROOT:
        return ""
    claims = found.attestations[0].claims
    url = f"{settings.HUB_PUBLIC_URL}/{artifact.channel}/{artifact.path}"
    identity = f"{claims.get('source_repository_uri', '')}/*"
    return (
        f"rattler verify-attestation {shlex.quote(url)} \\\n"
        f"  --identity {shlex.quote(identity)} --issuer {shlex.quote(claims.get('issuer', ''))}"
    )


def _attested(claims: dict[str, str]) -> Attested:
    certified = dict(claims)
    signed_at, log_index, log_id = (certified.pop(name) for name in ("signed_at", "log_index", "log_id"))
    log_url = f"{SEARCH_URL}{log_index}" if log_id == SEARCHABLE_LOG_ID else ""
    return Attested(certified, datetime.fromisoformat(signed_at), log_index, log_url)


def _certified_run(claims: dict[str, str]) -> dict[str, str]:
    """Return the run's facts from a certificate; Fulcio has the same claims for every provider."""
    repository_url, run_url = (
        _https(claims.get(f"{name}_uri", "")) for name in ("source_repository", "run_invocation")
    )
    return {
        "provider": "",
        "repository": urlsplit(repository_url).path.strip("/"),
        "repository_url": repository_url,
        "commit": claims.get("source_repository_digest", ""),
        "commit_url": "",
        "ref": claims.get("source_repository_ref", ""),
        "workflow": claims.get("build_config_uri", "").partition("@")[0].rpartition("/")[2],
        "workflow_url": "",
        "run": "",
        "run_url": run_url,
        "environment": "",
    }


def _https(url: str) -> str:
    return url if url.startswith("https://") else ""
