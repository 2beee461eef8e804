"""A private Sigstore instance for tests, within the process: its CA, certificate log and transparency log.

It uses only `cryptography` and RFC 8785, so its output is independent of the verifiers' code.
"""

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.id_tokens.builders import GITHUB_ISSUER, SHA
from tests.timestamps import OCTETS, TimestampAuthority, der, make_authority

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://schemas.conda.org/attestations-publish-1.schema.json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
LOG_NAME = "log.sigstore.test"
LOG_INDEX = 4711
LOG_ORIGIN = f"{LOG_NAME} - {LOG_INDEX}"

# Fulcio's object identifiers: github.com/sigstore/fulcio, docs/oid-info.md
FULCIO_ARC = "1.3.6.1.4.1.57264.1"
NUMBERS = {
    "issuer": 8,
    "build_signer_uri": 9,
    "build_signer_digest": 10,
    "runner_environment": 11,
    "source_repository_uri": 12,
    "source_repository_digest": 13,
    "source_repository_ref": 14,
    "source_repository_identifier": 15,
    "source_repository_owner_uri": 16,
    "source_repository_owner_identifier": 17,
    "build_config_uri": 18,
    "build_config_digest": 19,
    "build_trigger": 20,
    "run_invocation_uri": 21,
}
TIMESTAMP_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
UTF8 = 0x0C
KEY_DETAILS = "PKIX_ECDSA_P256_SHA_256"

Document = dict[str, Any]


@dataclass(frozen=True)
class Authority:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True)
class Log:
    """A log: every entry that it signs counts as logged."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def log_id(self) -> bytes:
        return hashlib.sha256(_public(self.key)).digest()

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256()))

    def trusted(self, ends_at: datetime | None) -> Document:
        key = {"rawBytes": _b64(_public(self.key)), "keyDetails": KEY_DETAILS, "validFor": _since_2020(ends_at)}
        return {
            "baseUrl": f"https://{LOG_NAME}",
            "hashAlgorithm": "SHA2_256",
            "publicKey": key,
            "logId": {"keyId": _b64(self.log_id)},
        }


@dataclass(frozen=True)
class Instance:
    """A Sigstore instance. `bundle` signs as a CI job does, correctly or with a fault."""

    root: Authority
    intermediate: Authority
    timestamps: TimestampAuthority
    certificate_log: Log = field(default_factory=Log)
    log: Log = field(default_factory=Log)

    @property
    def trusted_root_json(self) -> str:
        return self.trusted_root()

    def trusted_root(
        self,
        *,
        log_ends_at: datetime | None = None,
        certificate_log_ends_at: datetime | None = None,
        authority_ends_at: datetime | None = None,
    ) -> str:
        """Return trusted_root.json. Parts of it may have expired."""
        chain, stamps = (self.intermediate.certificate, self.root.certificate), self.timestamps
        root = {
            "mediaType": ROOT_TYPE,
            "tlogs": [self.log.trusted(log_ends_at)],
            "certificateAuthorities": [_trusted_chain(*chain, ends_at=authority_ends_at)],
            "ctlogs": [self.certificate_log.trusted(certificate_log_ends_at)],
            "timestampAuthorities": [_trusted_chain(stamps.certificate, stamps.root)],
        }
        return json.dumps(root)

    def bundle(
        self,
        statement: Document | bytes,
        claims: Mapping[str, str] | None = None,
        *,
        signed_at: datetime | None = None,
        lifetime: timedelta = timedelta(minutes=10),
        age: timedelta = timedelta(seconds=1),
        payload_type: str = PAYLOAD_TYPE,
        leaf: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None,
        stamped_by: TimestampAuthority | None = None,
        log_version: int = 1,
        change: Callable[[Document], object] = bool,
    ) -> bytes:
        """Return a bundle as JSON. The certificate is `age` old at signing; `change` may corrupt the result.

        A log of version 2 records no time, so the bundle has a timestamp.
        """
        signed_at = signed_at or datetime.now(UTC).replace(microsecond=0)
        key = leaf or ec.generate_private_key(ec.SECP256R1())
        certificate = self.certify(key, claims or certificate_claims(), signed_at - age, lifetime)
        payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
        text = _envelope_text(payload_type, payload)
        signature = _sign(key, text)
        if log_version == 1:
            entry = self.log_entry(_log_body(payload, signature, certificate), signed_at)
        else:
            entry = self.log_entry_2(_log_body_2(text, signature, certificate))
        document = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "certificate": _certificate(certificate),
                "tlogEntries": [entry],
                **(_stamps(stamped_by.stamp(signature, signed_at)) if stamped_by else {}),
            },
            "dsseEnvelope": {
                "payload": _b64(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": _b64(signature)}],
            },
        }
        change(document)
        return json.dumps(document).encode()

    def certify(
        self,
        key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        claims: Mapping[str, str],
        begins_at: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        """Return a certificate for `key` with the embedded proof of the certificate log."""
        builder = self._leaf(key, claims, begins_at, lifetime)
        before = builder.sign(self.intermediate.key, SHA256())
        proof = self._certificate_proof(before, begins_at)
        octets = x509.UnrecognizedExtension(TIMESTAMP_LIST, der(OCTETS, proof))
        return builder.add_extension(octets, critical=False).sign(self.intermediate.key, SHA256())

    def log_entry(self, body: bytes, logged_at: datetime) -> Document:
        """Return an entry of Rekor 1: with a time, a promise and a proof."""
        seconds = int(logged_at.timestamp())
        promised = rfc8785.dumps(
            {"body": _b64(body), "integratedTime": seconds, "logID": self.log.log_id.hex(), "logIndex": LOG_INDEX}
        )
        return self._proven(body, "dsse", "0.0.1") | {
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": _b64(self.log.sign(promised))},
        }

    def log_entry_2(self, body: bytes) -> Document:
        """Return an entry of Rekor 2: with only a proof."""
        return self._proven(body, "hashedrekord", "0.0.2") | {"logIndex": "1"}

    def _proven(self, body: bytes, kind: str, version: str) -> Document:
        """Return the second leaf of a tree of two."""
        leaf, sibling = hashlib.sha256(b"\x00" + body).digest(), hashlib.sha256(b"sibling").digest()
        root = hashlib.sha256(b"\x01" + sibling + leaf).digest()
        return {
            "logIndex": str(LOG_INDEX),
            "logId": {"keyId": _b64(self.log.log_id)},
            "kindVersion": {"kind": kind, "version": version},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": _b64(root),
                "treeSize": "2",
                "hashes": [_b64(sibling)],
                "checkpoint": {"envelope": self._checkpoint(root)},
            },
            "canonicalizedBody": _b64(body),
        }

    def _checkpoint(self, root_hash: bytes) -> str:
        note = f"{LOG_ORIGIN}\n2\n{_b64(root_hash)}\n"
        signature = self.log.log_id[:4] + self.log.sign(note.encode())
        return f"{note}\n\N{EM DASH} {LOG_NAME} {_b64(signature)}\n"

    def _leaf(
        self, key: Any, claims: Mapping[str, str], begins_at: datetime, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        issuer = self.intermediate
        identity = x509.UniformResourceIdentifier(claims.get("build_signer_uri", "https://sigstore.test/job"))
        builder = (
            _builder(x509.Name([]), issuer.certificate.subject, key.public_key(), begins_at, begins_at + lifetime)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(_authority_key(issuer.key), critical=False)
            .add_extension(x509.SubjectAlternativeName([identity]), critical=True)
        )
        for name, value in claims.items():
            oid = x509.ObjectIdentifier(f"{FULCIO_ARC}.{NUMBERS[name]}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, der(UTF8, value.encode())), critical=False)
        return builder

    def _certificate_proof(self, before: x509.Certificate, logged_at: datetime) -> bytes:
        """Return a list of one signed certificate timestamp (RFC 6962, sections 3.2 and 3.3)."""
        issuer_sha256 = hashlib.sha256(_public(self.intermediate.key)).digest()
        certificate, milliseconds = before.tbs_certificate_bytes, int(logged_at.timestamp() * 1000)
        entry = issuer_sha256 + len(certificate).to_bytes(3, "big") + certificate
        signature = self.certificate_log.sign(struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + bytes(2))
        timestamp = (
            struct.pack("!B32sQH", 0, self.certificate_log.log_id, milliseconds, 0)
            + struct.pack("!BBH", 4, 3, len(signature))  # SHA-256, ECDSA
            + signature
        )
        return struct.pack("!HH", len(timestamp) + 2, len(timestamp)) + timestamp


def instance(name: str = "own") -> Instance:
    """Return the instance of that name."""
    return _made(name)


@cache
def _made(name: str) -> Instance:
    """Create an instance once per process, because keys are slow. The cache needs one form of each argument."""
    root = _authority(f"{name} root", None)
    return Instance(root, _authority(f"{name} intermediate", root), make_authority(name))


def certificate_claims(**changes: str) -> dict[str, str]:
    """Return Fulcio's certificate claims for the run of tests.id_tokens.builders.github_claims()."""
    repository = "https://github.com/octo-org/sample"
    workflow = f"{repository}/.github/workflows/release.yml@refs/heads/main"
    return {
        "issuer": GITHUB_ISSUER,
        "build_signer_uri": workflow,
        "runner_environment": "github-hosted",
        "source_repository_uri": repository,
        "source_repository_digest": SHA,
        "source_repository_ref": "refs/heads/main",
        "source_repository_identifier": "740510",
        "source_repository_owner_uri": "https://github.com/octo-org",
        "source_repository_owner_identifier": "65",
        "build_config_uri": workflow,
        "build_trigger": "push",
        "run_invocation_uri": f"{repository}/actions/runs/9001/attempts/1",
        **changes,
    }


def statement(file_name: str, sha256: str, channel_url: str, **changes: Any) -> Document:
    """Return a publish attestation (CEP 27) without the keys that are None."""
    keys = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": file_name, "digest": {"sha256": sha256}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"targetChannel": channel_url},
        **changes,
    }
    return {key: value for key, value in keys.items() if value is not None}


def _authority(name: str, issuer: Authority | None) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    signer = issuer.key if issuer else key
    begins_at = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        _builder(subject, issuer.certificate.subject if issuer else subject, key.public_key(), begins_at)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else 1), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(signer), critical=False)
    )
    return Authority(key, builder.sign(signer, SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Any,
    begins_at: datetime,
    ends_at: datetime = datetime(2040, 1, 1, tzinfo=UTC),
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=begins_at,
        not_valid_after=ends_at,
    )


def _usage(**allowed: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**dict.fromkeys(names, False) | allowed)


def _authority_key(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _sign(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), SHA256())
    return key.sign(data, ec.ECDSA(SHA256()))


def _envelope_text(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that a DSSE signature covers."""
    return f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload


def _log_body(payload: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    verifier = _b64(certificate.public_bytes(Encoding.PEM))
    spec: Document = {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(payload + signature).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": _b64(signature), "verifier": verifier}],
    }
    return rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})


def _log_body_2(text: bytes, signature: bytes, certificate: x509.Certificate) -> bytes:
    verifier = {"keyDetails": KEY_DETAILS, "x509Certificate": _certificate(certificate)}
    entry: Document = {
        "data": {"algorithm": "SHA2_256", "digest": _b64(hashlib.sha256(text).digest())},
        "signature": {"content": _b64(signature), "verifier": verifier},
    }
    return rfc8785.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": entry}})


def _stamps(stamp: bytes) -> Document:
    return {"timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": _b64(stamp)}]}}


def _trusted_chain(*certificates: x509.Certificate, ends_at: datetime | None = None) -> Document:
    return {
        "subject": {"organization": "sigstore.test", "commonName": "sigstore"},
        "uri": "https://sigstore.test",
        "certChain": {"certificates": [_certificate(each) for each in certificates]},
        "validFor": _since_2020(ends_at),
    }


def _since_2020(ends_at: datetime | None) -> dict[str, str]:
    return {"start": "2020-01-01T00:00:00Z"} | ({"end": _iso(ends_at)} if ends_at else {})


def _certificate(certificate: x509.Certificate) -> dict[str, str]:
    return {"rawBytes": _b64(certificate.public_bytes(Encoding.DER))}


def _public(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
