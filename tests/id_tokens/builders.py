"""Signing keys, identity tokens and the claims of each provider."""

import base64
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from publishing.id_tokens.claims import BadFields, BadToken, Code
from publishing.id_tokens.provider import Provider

ABSENT: Any = type("Absent", (), {"__repr__": lambda self: "ABSENT"})()  # the same name in every process
KEY_ID = "key-1"
AUDIENCE = "hub.example"
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
SHA = "3f786850e387550fdab836ed7e6dc881de23001b"


def private_key(name: str = KEY_ID, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key of this name, generated once per session."""
    return made_key(name, bits)


@cache
def made_key(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk(key_id: str = KEY_ID, key: rsa.RSAPrivateKey | None = None, **changes: Any) -> dict[str, Any]:
    """Return the public key in the form in which an issuer publishes it."""
    numbers = (key or private_key(key_id)).public_key().public_numbers()
    return {
        "kty": "RSA",
        "kid": key_id,
        "use": "sig",
        "alg": "RS256",
        "n": segment(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": segment(numbers.e.to_bytes(3, "big")),
        **changes,
    }


def key_set(*key_ids: str) -> dict[str, Any]:
    """Return a JWKS document."""
    return {"keys": [jwk(key_id) for key_id in key_ids or (KEY_ID,)]}


def signed(
    claims: dict[str, Any],
    *,
    key_id: str = KEY_ID,
    key: rsa.RSAPrivateKey | None = None,
    headers: dict[str, Any] | None = None,
) -> str:
    """Return a token as the provider would sign it. `headers` replace the usual ones."""
    return jwt.encode(claims, key or private_key(key_id), algorithm="RS256", headers={"kid": key_id, **(headers or {})})


def signed_bytes(header: bytes, payload: bytes, key: rsa.RSAPrivateKey | None = None) -> str:
    """Return a token with a valid signature over arbitrary bytes."""
    signing_input = f"{segment(header)}.{segment(payload)}"
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(
        signing_input.encode(), key or private_key()
    )
    return f"{signing_input}.{segment(signature)}"


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def json_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def claims_of(issuer: str, lifetime_s: int, changes: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the common claims of all providers, the provider's own, and `changes`. A value of None removes a claim."""
    now = int(time.time())
    common = {"iss": issuer, "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + lifetime_s}
    return {name: value for name, value in {**common, **own, **changes}.items() if value is not None}


def github_claims(*, issuer: str = GITHUB_ISSUER, **changes: Any) -> dict[str, Any]:
    """Return the claims of a push to main of octo-org/sample, in release.yml and the environment release."""
    workflow_ref = "octo-org/sample/.github/workflows/release.yml@refs/heads/main"
    own = {
        "jti": unique_id(),
        "sub": "repo:octo-org/sample:environment:release",
        "repository": "octo-org/sample",
        "repository_id": "740510",
        "repository_owner": "octo-org",
        "repository_owner_id": "65",
        "repository_visibility": "public",
        "workflow": "Release",
        "workflow_ref": workflow_ref,
        "workflow_sha": SHA,
        "job_workflow_ref": workflow_ref,
        "job_workflow_sha": SHA,
        "event_name": "push",
        "environment": "release",
        "ref": "refs/heads/main",
        "ref_type": "branch",
        "ref_protected": "true",
        "sha": SHA,
        "actor": "octocat",
        "actor_id": "1",
        "base_ref": "",
        "head_ref": "",
        "run_id": "9001",
        "run_number": "7",
        "run_attempt": "1",
        "runner_environment": "github-hosted",
    }
    return claims_of(issuer, 300, changes, **own)


def gitlab_claims(*, issuer: str = "https://gitlab.com", **changes: Any) -> dict[str, Any]:
    """Return the claims of a push to main of group/sample, in .gitlab-ci.yml and the environment release."""
    own = {
        "jti": unique_id(),
        "sub": "project_path:group/sample:ref_type:branch:ref:main",
        "project_path": "group/sample",
        "project_id": "20",
        "namespace_path": "group",
        "namespace_id": "72",
        "job_project_id": "20",
        "job_project_path": "group/sample",
        "user_id": "1",
        "user_login": "sample-user",
        "user_identities": [{"provider": "github", "extern_uid": "2"}],
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "environment": "release",
        "environment_protected": "false",
        "runner_environment": "gitlab-hosted",
        "sha": SHA,
        "ci_config_ref_uri": f"{issuer.partition('://')[2]}/group/sample//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": SHA,
        "project_visibility": "public",
    }
    return claims_of(issuer, 3600, changes, **own)


def google_claims(*, issuer: str = "https://accounts.google.com", **changes: Any) -> dict[str, Any]:
    """Return the claims of a service account. Google sends neither jti nor nbf."""
    own = {
        "sub": "104029292853099978293",
        "azp": "104029292853099978293",
        "email": "publisher@sample.iam.gserviceaccount.com",
        "email_verified": True,
        "nbf": None,
    }
    return claims_of(issuer, 3600, own | changes)


def buildkite_claims(*, issuer: str = "https://agent.buildkite.com", **changes: Any) -> dict[str, Any]:
    """Return the claims of a build of acme-inc/sample's main branch, in the step publish."""
    own = {
        "jti": unique_id(),
        "sub": f"organization:acme-inc:pipeline:sample:ref:refs/heads/main:commit:{SHA}:step:publish",
        "organization_slug": "acme-inc",
        "organization_id": "0184990a-0000-4fa8-9968-496074483cee",
        "pipeline_slug": "sample",
        "pipeline_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_number": 5,
        "build_branch": "main",
        "build_commit": SHA,
        "build_source": "webhook",
        "step_key": "publish",
        "job_id": "0184990a-477b-4fa8-9968-496074483cee",
        "agent_id": "0184990a-1111-42b5-afc1-16715b10b8ff",
        "runner_environment": "buildkite-hosted",
    }
    return claims_of(issuer, 300, changes, **own)


def circleci_claims(*, issuer: str = "https://oidc.circleci.com", **changes: Any) -> dict[str, Any]:
    """Return the claims of a job on octo-org/sample's main branch.

    `changes` name CircleCI's own claims without their prefix.
    """
    own = {
        "org-id": "4f8d6dd2-0000-4a2d-8a0b-6c2f9a5e1c11",
        "project-id": "4f8d6dd2-1111-4a2d-8a0b-6c2f9a5e1c11",
        "pipeline-definition-id": "4f8d6dd2-2222-4a2d-8a0b-6c2f9a5e1c11",
        "pipeline-id": "4f8d6dd2-3333-4a2d-8a0b-6c2f9a5e1c11",
        "workflow-id": "4f8d6dd2-4444-4a2d-8a0b-6c2f9a5e1c11",
        "job-id": "4f8d6dd2-5555-4a2d-8a0b-6c2f9a5e1c11",
        "context-ids": ["4f8d6dd2-6666-4a2d-8a0b-6c2f9a5e1c11"],
        "vcs-origin": "github.com/octo-org/sample",
        "vcs-ref": "refs/heads/main",
        "ssh-rerun": False,
    }
    theirs = {name.replace("_", "-"): value for name, value in changes.items() if name.replace("_", "-") in own}
    rest = {name: value for name, value in changes.items() if name.replace("_", "-") not in own}
    prefixed = {f"oidc.circleci.com/{name}": value for name, value in (own | theirs).items()}
    sub = "org/4f8d6dd2-0000-4a2d-8a0b-6c2f9a5e1c11/project/4f8d6dd2-1111-4a2d-8a0b-6c2f9a5e1c11/user/7"
    return claims_of(issuer, 3600, {"nbf": None, "sub": sub} | prefixed | rest)


def generic_claims(*, issuer: str = "https://id.example.org", **changes: Any) -> dict[str, Any]:
    """Return the claims of a workload, by an issuer that an administrator added."""
    own = {"jti": unique_id(), "sub": "workload:sample", "build.branch": "main", "team": "release"}
    return claims_of(issuer, 300, changes, **own)


def unique_id() -> str:
    return f"{time.time_ns():x}"


def changed(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return `claims` with `changes`. A value of ABSENT removes a claim."""
    return {name: value for name, value in (claims | changes).items() if value is not ABSENT}


def judged(
    provider: Provider, claims: dict[str, Any], fields: dict[str, str], pins: dict[str, str] | None = None
) -> str:
    """Return the reason for which a publisher with these fields refuses the claims, or "" if it matches."""
    try:
        provider.check(claims)
    except BadToken as error:
        return f"{error.code}: {error.reason}"
    cleaned = provider.clean(fields)
    if provider.subject(cleaned) != provider.claimed_subject(claims):
        return Code.NO_PUBLISHER
    difference = provider.difference(cleaned, pins or {}, claims)
    if difference is None:
        return ""
    kind = f"{Code.RESURRECTED}: " if difference.is_pin else ""
    return f"{kind}{difference.name} is {difference.found or 'none'}, not {difference.expected or 'none'}"


def faults(provider: Provider, values: dict[str, str]) -> dict[str, str]:
    """Return the errors of a form by field; empty if it is valid."""
    try:
        provider.clean(values)
    except BadFields as error:
        return error.reasons
    return {}
