"""Verification of attestations: valid and invalid ones, with the code and message of each refusal."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pytest_django import Settings

from hub.errors import HubError
from publishing.attestations import verification
from publishing.attestations.errors import VerifiedAttestation
from publishing.id_tokens.providers import PROVIDERS
from tests import sigstore
from tests.id_tokens.builders import github_claims
from tests.sigstore import Document

FILE_NAME = "demo-1.0-0.conda"
SHA256 = "ab" * 32
CHANNEL_URL = "https://hub.example.org/demo"
NOW = datetime.now(UTC).replace(microsecond=0)
AGO = timedelta(hours=1)
BUNDLE_KEYS = ("mediaType", "verificationMaterial", "dsseEnvelope")

Change = Callable[[Document], object]


@pytest.fixture(autouse=True)
def trusted_root(settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "trusted_root.json"
    path.write_text(sigstore.instance().trusted_root_json)
    settings.HUB_TRUST_ROOT = str(path)
    return path


def statement(**changes: Any) -> Document:
    return sigstore.statement(FILE_NAME, SHA256, CHANNEL_URL, **changes)


def bundle(content: Document | bytes | None = None, *, of: str = "own", **faults: Any) -> bytes:
    return sigstore.instance(of).bundle(content or statement(), **faults)


def verify(unverified_bundle: bytes, **expected: str) -> VerifiedAttestation:
    certificate = PROVIDERS["github"].certificate(github_claims())
    assert certificate is not None
    return verification.verify(
        unverified_bundle,
        file_name=FILE_NAME,
        sha256=SHA256,
        channel_url=CHANNEL_URL,
        expected_certificate=certificate | expected,
    )


def refusal(unverified_bundle: bytes, **expected: str) -> tuple[str, str]:
    """Return the code of the error, and its detail after "was refused: "."""
    with pytest.raises(HubError) as caught:
        verify(unverified_bundle, **expected)
    assert caught.value.status == 422
    prefix = f"The attestation of {FILE_NAME} was refused: "
    assert caught.value.detail.startswith(prefix)
    return caught.value.code, caught.value.detail.removeprefix(prefix)


def entry(document: Document) -> Document:
    found: Document = document["verificationMaterial"]["tlogEntries"][0]
    return found


def flipped(text: str) -> str:
    """Return the base64 text with one bit of its last byte changed."""
    data = bytearray(base64.b64decode(text))
    data[-1] ^= 1
    return base64.b64encode(data).decode()


def spoil(path: str) -> Change:
    """Return a change that flips a bit of the value at `path`, below the log entry or the envelope."""

    def change(document: Document) -> None:
        place: Any = entry(document) if not path.startswith("dsse") else document
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        for part in parents:
            place = place[part]
        place[last] = flipped(place[last])

    return change


def test_valid_attestation_is_accepted_with_its_signer() -> None:
    verified = verify(bundle(signed_at=NOW))
    assert verified.claims == {
        **sigstore.certificate_claims(),
        "signed_at": NOW.isoformat(),
        "log_index": str(sigstore.LOG_INDEX),
        "log_id": sigstore.instance().log.log_id.hex(),
    }
    assert set(json.loads(verified.bundle)) == set(BUNDLE_KEYS)


@pytest.mark.parametrize("predicate", [None, {"targetChannel": CHANNEL_URL, "more": 1}])
def test_a_predicate_may_be_missing_or_have_more(predicate: object) -> None:
    assert verify(bundle(statement(predicate=predicate)))


def test_an_old_signature_holds_as_long_as_its_keys_were_in_use(trusted_root: Path) -> None:
    old = datetime(2025, 3, 1, tzinfo=UTC)
    trusted_root.write_text(sigstore.instance().trusted_root(log_ends_at=NOW - AGO, certificate_log_ends_at=NOW - AGO))
    assert verify(bundle(signed_at=old)).claims["signed_at"] == old.isoformat()


@pytest.mark.parametrize("log_version", [1, 2])
def test_a_timestamp_tells_the_time_too(log_version: int) -> None:
    raw = bundle(signed_at=NOW, stamped_by=sigstore.instance().timestamps, log_version=log_version)
    assert verify(raw).claims["signed_at"] == NOW.isoformat()


def test_stored_attestation_is_normalized_for_clients() -> None:
    def malformed(document: Document) -> None:
        signature = document["dsseEnvelope"]["signatures"][0]
        signature["keyid"] = None
        signature["sig"] = f"{signature['sig'][:40]}\n{signature['sig'][40:]}"

    kept = json.loads(verify(bundle(change=malformed)).bundle)["dsseEnvelope"]["signatures"][0]
    assert set(kept) == {"sig"}
    assert "\n" not in kept["sig"]


STATEMENTS: dict[str, tuple[Document | bytes, str, str]] = {
    "other hash": (
        statement(subject=[{"name": FILE_NAME, "digest": {"sha256": "cd" * 32}}]),
        "attestation_wrong_subject",
        "it is about other bytes, with the digest {'sha256': 'cdcd",
    ),
    "a second digest": (
        statement(subject=[{"name": FILE_NAME, "digest": {"sha256": SHA256, "md5": "0"}}]),
        "attestation_wrong_subject",
        "it is about other bytes",
    ),
    "upper-case hash": (
        statement(subject=[{"name": FILE_NAME, "digest": {"sha256": SHA256.upper()}}]),
        "attestation_wrong_subject",
        "it is about other bytes",
    ),
    "other name": (
        statement(subject=[{"name": "demo-1.0-1.conda", "digest": {"sha256": SHA256}}]),
        "attestation_wrong_subject",
        f"it is about 'demo-1.0-1.conda'; expected '{FILE_NAME}'.",
    ),
    "two subjects": (
        statement(subject=statement()["subject"] * 2),
        "attestation_wrong_subject",
        "it has 2 subjects; expected one, the package.",
    ),
    "no subject": (statement(subject=[]), "attestation_wrong_subject", "it has 0 subjects"),
    "subject is no list": (statement(subject={}), "attestation_wrong_subject", "it has no list of subjects"),
    "other channel": (
        statement(predicate={"targetChannel": "https://hub.example.org/other"}),
        "attestation_wrong_channel",
        f"its targetChannel is 'https://hub.example.org/other'; expected '{CHANNEL_URL}', with no slash at the end.",
    ),
    "slash at the end": (
        statement(predicate={"targetChannel": f"{CHANNEL_URL}/"}),
        "attestation_wrong_channel",
        f"its targetChannel is '{CHANNEL_URL}/'",
    ),
    "empty predicate": (statement(predicate={}), "attestation_wrong_channel", "its targetChannel is 'None'"),
    "predicate is a list": (statement(predicate=[]), "attestation_wrong_channel", "its targetChannel is 'None'"),
    "other predicate type": (
        statement(predicateType="https://slsa.dev/provenance/v1"),
        "attestation_wrong_type",
        "its predicateType is 'https://slsa.dev/provenance/v1'; expected 'https://schemas.conda.org/",
    ),
    "other statement type": (
        statement(_type="https://in-toto.io/Statement/v0.1"),
        "attestation_wrong_type",
        "its _type is 'https://in-toto.io/Statement/v0.1'",
    ),
    "duplicate keys": (
        json.dumps(statement()).replace("{", '{"predicateType": "x", ', 1).encode(),
        "attestation_malformed",
        "its statement is not strict JSON: the key 'predicateType' stands twice in one object.",
    ),
    "no object": (b"[]", "attestation_malformed", "its statement holds a list; expected an object."),
    "no JSON": (b"hello", "attestation_malformed", "its statement is not strict JSON"),
}


@pytest.mark.parametrize("case", STATEMENTS)
def test_a_statement_must_be_about_this_file_and_channel(case: str) -> None:
    content, code, reason = STATEMENTS[case]
    found = refusal(bundle(content))
    assert found[0] == code
    assert found[1].startswith(reason)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("issuer", "https://gitlab.com"),
        ("source_repository_identifier", "740511"),
        ("source_repository_owner_identifier", "66"),
        ("build_config_uri", "https://github.com/octo-org/sample/.github/workflows/other.yml@refs/heads/main"),
        ("source_repository_ref", "refs/heads/other"),
    ],
)
def test_the_certificate_must_be_of_the_run_that_uploads(claim: str, value: str) -> None:
    code, reason = refusal(bundle(claims=sigstore.certificate_claims(**{claim: value})))
    assert code == "attestation_wrong_publisher"
    assert reason.startswith(f"its certificate's {claim} is '{value.partition('@')[0]}'; expected '")


def test_a_claim_that_is_missing_is_another() -> None:
    claims = sigstore.certificate_claims()
    del claims["source_repository_identifier"]
    assert refusal(bundle(claims=claims))[1].startswith("its certificate's source_repository_identifier is ''")


UNVERIFIED: dict[str, tuple[dict[str, Any], str]] = {
    "another instance's certificate": ({"of": "other"}, "none of the trust root's tlogs that it names was in use"),
    "tampered signature": ({"change": spoil("dsseEnvelope.signatures.0.sig")}, "DSSE: invalid signature"),
    "tampered payload": ({"change": spoil("dsseEnvelope.payload")}, "DSSE: invalid signature"),
    "tampered log body": ({"change": spoil("canonicalizedBody")}, "invalid log entry: inclusion proof contains"),
    "tampered promise": (
        {"change": spoil("inclusionPromise.signedEntryTimestamp")},
        "invalid log entry: SET: invalid inclusion promise",
    ),
    "tampered proof": ({"change": spoil("inclusionProof.hashes.0")}, "invalid log entry: inclusion proof contains"),
    "expired certificate": ({"age": timedelta(minutes=11)}, "failed to build timestamp certificate chain"),
    "certificate from later": ({"age": timedelta(minutes=-1)}, "failed to build timestamp certificate chain"),
    "P-384": ({"leaf": ec.generate_private_key(ec.SECP384R1())}, "its certificate is for another kind of key"),
    "RSA": (
        {"leaf": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        "its certificate is for another kind of key; expected P-256.",
    ),
    "future time": (
        {"signed_at": NOW + timedelta(days=1)},
        f"it says that it was signed at {NOW + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC, which is in the future.",
    ),
    "time changed": (
        {"change": lambda document: entry(document).update(integratedTime=str(int(NOW.timestamp()) - 5))},
        "failed to build timestamp certificate chain",
    ),
    "log unknown": (
        {"change": lambda document: entry(document)["logId"].update(keyId=base64.b64encode(b"x" * 32).decode())},
        "none of the trust root's tlogs that it names was in use when it was signed.",
    ),
    "a timestamp of another authority beside a good entry": (
        {"stamped_by": sigstore.instance("other").timestamps},
        "not all of its timestamps are by an authority that we trust.",
    ),
    "a log without times, a timestamp of another authority": (
        {"stamped_by": sigstore.instance("other").timestamps, "log_version": 2},
        "not enough sources of verified time",
    ),
    "a log without times, no timestamp": ({"log_version": 2}, "an inclusion promise or signed timestamp(s)"),
    "no timestamp, no promise": (
        {"change": lambda document: entry(document).pop("inclusionPromise")},
        "it is not a valid Sigstore bundle: bundle must contain an inclusion promise or signed timestamp(s)",
    ),
}


@pytest.mark.parametrize("case", UNVERIFIED)
def test_attestation_that_sigstore_rejects_is_refused(case: str) -> None:
    faults, reason = UNVERIFIED[case]
    assert reason in refusal(bundle(**faults))[1]


@pytest.mark.parametrize("part", ["log_ends_at", "certificate_log_ends_at", "authority_ends_at"])
def test_attestation_by_an_expired_log_key_is_refused(trusted_root: Path, part: str) -> None:
    trusted_root.write_text(sigstore.instance().trusted_root(**{part: NOW - AGO}))
    code, reason = refusal(bundle())
    assert code == "attestation_unverified"
    assert "was in use when it was signed" in reason


def test_the_payload_type_is_in_totos() -> None:
    assert refusal(bundle(payload_type="text/plain")) == (
        "attestation_wrong_type",
        "it signs 'text/plain'; expected the payload type 'application/vnd.in-toto+json'.",
    )


MALFORMED: dict[str, tuple[bytes, str]] = {
    "truncated": (bundle()[:-10], "it is not strict JSON"),
    "empty": (b"", "it is empty; expected a JSON document."),
    "a sidecar": (b"[" + bundle() + b"]", "it holds a list; expected an object."),
    "too large": (bundle().replace(b"{", b"{" + b" " * 65536, 1), "it is larger than the 64 KiB allowed."),
    "duplicate keys": (
        bundle().replace(b"{", b'{"mediaType": "x", ', 1),
        "it is not strict JSON: the key 'mediaType' stands twice in one object.",
    ),
    "version 0.2": (
        bundle().replace(b"bundle.v0.3+json", b"bundle+json;version=0.2"),
        "its mediaType is 'application/vnd.dev.sigstore.bundle+json;version=0.2'; expected a Sigstore bundle, '",
    ),
    "no log entry": (
        bundle(change=lambda document: document["verificationMaterial"]["tlogEntries"].clear()),
        "it is not a valid Sigstore bundle: expected exactly one log entry in bundle",
    ),
    "no proof": (
        bundle(change=lambda document: entry(document).pop("inclusionProof")),
        "it is not a valid Sigstore bundle",
    ),
    "no certificate": (
        bundle(change=lambda document: document["verificationMaterial"].pop("certificate")),
        "it is not a valid Sigstore bundle",
    ),
    "two signatures": (
        bundle(change=lambda document: document["dsseEnvelope"].update(signatures=2 * [{"sig": "eA=="}])),
        "Sigstore's verification failed: envelope must contain exactly one signature",
    ),
    "an unknown key": (bundle(change=lambda document: document.update(more=1)), "it is not a valid Sigstore bundle"),
    "number for a text": (
        bundle(change=lambda document: entry(document).update(logIndex=1)),
        "it is not a valid Sigstore bundle",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_incomplete_bundle_is_refused(case: str) -> None:
    raw, reason = MALFORMED[case]
    assert refusal(raw)[1].startswith(reason)


def test_attestation_without_a_trust_root_is_not_verified(trusted_root: Path) -> None:
    trusted_root.unlink()
    with pytest.raises(HubError, match="no readable trust root") as caught:
        verify(bundle())
    assert (caught.value.status, caught.value.code) == (503, "no_trust_root")


def test_another_root_counts_at_once(trusted_root: Path) -> None:
    good = bundle()
    assert verify(good)
    trusted_root.write_text(sigstore.instance("other").trusted_root_json)
    assert refusal(good)[0] == "attestation_unverified"


def test_threads_share_the_root() -> None:
    bundles = [bundle() for _ in range(20)]
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(verify, bundles))) == len(bundles)
