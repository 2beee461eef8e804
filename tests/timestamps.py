"""A timestamp authority (RFC 3161) for tests, encoded byte by byte: no Python library issues timestamps."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

INTEGER, OCTETS, TIME, SEQUENCE, SET, CONTEXT_0 = 0x02, 0x04, 0x18, 0x30, 0x31, 0xA0

# Encoded object identifiers.
SHA_256 = bytes.fromhex("0609608648016503040201")
ECDSA_SHA_256 = bytes.fromhex("06082a8648ce3d040302")
SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
TIMESTAMP_INFO = bytes.fromhex("060b2a864886f70d0109100104")
CONTENT_TYPE = bytes.fromhex("06092a864886f70d010903")
MESSAGE_DIGEST = bytes.fromhex("06092a864886f70d010904")
SIGNING_CERTIFICATE = bytes.fromhex("060b2a864886f70d010910022f")
POLICY = bytes.fromhex("06092b0601040183bf3002")


@dataclass(frozen=True)
class TimestampAuthority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    root: x509.Certificate

    def stamp(self, data: bytes, at: datetime) -> bytes:
        """Return a TimeStampResp that grants a timestamp: `data` existed at the second `at`."""
        imprint = der(SEQUENCE, der(SEQUENCE, SHA_256), der(OCTETS, hashlib.sha256(data).digest()))
        info = der(
            SEQUENCE,
            integer(1),
            POLICY,
            imprint,
            integer(secrets.randbits(64)),
            der(TIME, f"{at.astimezone(UTC):%Y%m%d%H%M%SZ}".encode()),
        )
        signed = der(
            SEQUENCE,
            integer(3),
            der(SET, der(SEQUENCE, SHA_256)),
            der(SEQUENCE, TIMESTAMP_INFO, der(CONTEXT_0, der(OCTETS, info))),
            der(CONTEXT_0, self.certificate.public_bytes(Encoding.DER)),
            der(SET, self._signer(info)),
        )
        return der(SEQUENCE, der(SEQUENCE, integer(0)), der(SEQUENCE, SIGNED_DATA, der(CONTEXT_0, signed)))

    def _signer(self, info: bytes) -> bytes:
        certificate_sha256 = self.certificate.fingerprint(SHA256())
        attributes = b"".join(
            sorted(
                [
                    _attribute(CONTENT_TYPE, TIMESTAMP_INFO),
                    _attribute(MESSAGE_DIGEST, der(OCTETS, hashlib.sha256(info).digest())),
                    _attribute(
                        SIGNING_CERTIFICATE,
                        der(SEQUENCE, der(SEQUENCE, der(SEQUENCE, der(OCTETS, certificate_sha256)))),
                    ),
                ]
            )
        )
        return der(
            SEQUENCE,
            integer(1),
            der(SEQUENCE, self.certificate.issuer.public_bytes(), integer(self.certificate.serial_number)),
            der(SEQUENCE, SHA_256),
            der(CONTEXT_0, attributes),
            der(SEQUENCE, ECDSA_SHA_256),
            der(OCTETS, self.key.sign(der(SET, attributes), ec.ECDSA(SHA256()))),
        )


def make_authority(name: str) -> TimestampAuthority:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, own_name = (_name(f"{name} {part}") for part in ("root", "authority"))
    root = (
        _builder(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, SHA256())
    )
    certificate = (
        _builder(own_name, root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, SHA256())
    )
    return TimestampAuthority(key, certificate, root)


def der(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def integer(value: int) -> bytes:
    return der(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _attribute(kind: bytes, value: bytes) -> bytes:
    return der(SEQUENCE, kind, der(SET, value))


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    begins_at, ends_at = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), begins_at, ends_at)
