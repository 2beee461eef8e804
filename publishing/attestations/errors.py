"""What an attestation becomes: verified, or refused. PURE, as all that reads what arrived."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifiedAttestation:
    """A bundle as it is kept and served from now on, and what its certificate and its log entry say."""

    bundle: str
    claims: dict[str, str]


class BadAttestation(Exception):  # noqa: N818
    """An attestation that the hub does not accept: a `code` for programs, and why, to follow "was refused: "."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def shown(value: object) -> str:
    """What somebody else has sent, short enough for a sentence."""
    return " ".join(str(value).split())[:300]
