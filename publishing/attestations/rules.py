"""How attestations are refused. PURE, as all that reads what arrived."""


class BadAttestation(Exception):  # noqa: N818
    """An attestation that the hub does not accept: a `code` for programs, and why, to follow "was refused: "."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def shown(value: object) -> str:
    """What somebody else has sent, short enough for a sentence."""
    return " ".join(str(value).split())[:300]
