"""The data that all providers share: error codes, fields of publishers, mismatches and provenance."""

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from publishing.wording import quote

Claims: TypeAlias = Mapping[str, Any]

# Only A to Z: str.lower() also turns a Kelvin sign into a k, which makes another user's name.
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Code(StrEnum):
    """Reasons for refusing an exchange. They are part of the API and of the audit log."""

    MALFORMED = "malformed"  # not a signed JSON Web Token of the only accepted form
    UNKNOWN_ISSUER = "unknown_issuer"  # `iss` is not registered with this hub
    UNKNOWN_KEY = "unknown_key"  # the issuer publishes no such signing key, or its keys can't be fetched
    BAD_SIGNATURE = "bad_signature"  # the key did not sign these bytes
    WRONG_AUDIENCE = "wrong_audience"  # issued for another service
    EXPIRED = "expired"  # `exp` is over, or `iat` too long ago
    NOT_YET_VALID = "not_yet_valid"  # `nbf` or `iat` is in the future
    TOO_LONG_LIVED = "too_long_lived"  # from `iat` to `exp` is more than the issuer's cap
    MISSING_CLAIM = "missing_claim"  # a claim that the provider always sends is missing
    BAD_CLAIM = "bad_claim"  # a claim has another type or form than the provider's
    EVENT_REFUSED = "event_refused"  # a stranger may control the event that started the run, or it is not allowed
    NO_PUBLISHER = "no_publisher"  # this repository, project or account is not registered
    PUBLISHER_DIFFERS = "publisher_differs"  # it is registered, but with another workflow, environment, …
    RESURRECTED = "resurrected"  # the names are the registered ones, the stable ids are not
    REPLAYED = "replayed"  # the token was exchanged before
    CHANNEL_TAKEN = "channel_taken"  # the channel of a pending publisher can't be created


class BadToken(Exception):  # noqa: N818 (its name is a sentence)
    """The identity token is refused; `reason` is one sentence for the person running the job."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BadFields(Exception):  # noqa: N818
    """Values of a publisher's form are invalid; `reasons` has a sentence per field."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(" ".join(reasons.values()))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a publisher's form. If `choices` is set, other values are invalid; ("true",) makes a check box.

    `pattern` must match the whole value. `form` describes it in words, for messages after "expected".
    """

    name: str
    title: str
    help: str
    example: str
    is_required: bool = False
    pattern: str = r"[^\x00-\x1f\x7f]+"
    form: str = "a single line of text"
    choices: tuple[str, ...] = ()
    ignores_case: bool = False
    max_characters: int = 255
    is_widening: bool = False  # if filled in, it allows more tokens instead of fewer


@dataclass(frozen=True, slots=True)
class ClaimMismatch:
    """A field in which publisher and token differ.

    `name` is the name of the field or, if `is_pin`, the claim of the stable id. `is_event` marks the event of the run.
    """

    name: str
    title: str
    expected: str
    found: str
    is_pin: bool = False
    is_event: bool = False

    @property
    def sentence(self) -> str:
        expected = quote(self.expected) if self.expected else "none"
        found = quote(self.found) if self.found else "none"
        return f"{self.title}: the token says {found}, but the publisher is registered with {expected}."


@dataclass(frozen=True, slots=True)
class TokenProvenance:
    """The origin of an artifact, for people. Unknown values are ""; every URL is https."""

    provider: str
    repository: str = ""
    repository_url: str = ""
    commit: str = ""
    commit_url: str = ""
    ref: str = ""
    workflow: str = ""
    workflow_url: str = ""
    run: str = ""
    run_url: str = ""
    environment: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def lower(text: str) -> str:
    """Return `text` in lower case as providers do it for names that are not case-sensitive."""
    return text.translate(ASCII_LOWER)


def text_claim(claims: Claims, name: str) -> str:
    """Return an optional claim, or "" if it is absent or null. Raise BadToken if it is no string."""
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadToken(Code.BAD_CLAIM, f"The claim {name} is {quote(value)}; expected a string.")
    return value


def needed_claim(claims: Claims, name: str, hint: str = "") -> str:
    """Return a required claim. Raise BadToken if it is absent, empty or no string."""
    if claims.get(name) in (None, ""):
        raise BadToken(Code.MISSING_CLAIM, f"The token has no claim {name}{hint and f'; {hint}'}.")
    return text_claim(claims, name)
