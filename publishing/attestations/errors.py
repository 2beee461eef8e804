"""The result of verifying an attestation, and the error that refuses one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifiedAttestation:
    """A verified bundle as it is stored and served, and the claims of its certificate and log entry."""

    bundle: str
    claims: dict[str, str]


class BadAttestation(Exception):  # noqa: N818
    """The hub refuses an attestation. `code` is for programs; `reason` is the sentence after "was refused: "."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def shown(value: object) -> str:
    """Return untrusted text in one line of at most 300 characters."""
    return " ".join(str(value).split())[:300]
