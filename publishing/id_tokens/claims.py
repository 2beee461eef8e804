"""The refusal of an identity token with its fixed list of codes, and the data that every provider speaks in."""

import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from publishing.wording import quote

Claims: TypeAlias = Mapping[str, Any]

# Only A to Z: str.lower() also turns a Kelvin sign into a k, and that would be somebody else's name.
ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Code(StrEnum):
    """Why an exchange was refused; clients and the audit log know these words."""

    MALFORMED = "malformed"  # not a signed JSON Web Token of the one form that is read
    UNKNOWN_ISSUER = "unknown_issuer"  # `iss` is not registered with this hub
    UNKNOWN_KEY = "unknown_key"  # the issuer publishes no such signing key, or its keys can't be had
    BAD_SIGNATURE = "bad_signature"  # the key did not sign these bytes
    WRONG_AUDIENCE = "wrong_audience"  # made for another service
    EXPIRED = "expired"  # `exp` is over, or `iat` too long ago
    NOT_YET_VALID = "not_yet_valid"  # `nbf` or `iat` lies ahead
    TOO_LONG_LIVED = "too_long_lived"  # from `iat` to `exp` is more than the issuer's cap
    MISSING_CLAIM = "missing_claim"  # a claim that the provider always sends is not there
    BAD_CLAIM = "bad_claim"  # a claim is of another kind or form than the provider's
    EVENT_REFUSED = "event_refused"  # what started the run may be under a stranger's control, or is not let in
    NO_PUBLISHER = "no_publisher"  # nobody registered this repository, project or account
    PUBLISHER_DIFFERS = "publisher_differs"  # it is registered, but with another workflow, environment, …
    RESURRECTED = "resurrected"  # the names are the registered ones, the stable ids are not
    REPLAYED = "replayed"  # the token was exchanged before
    CHANNEL_TAKEN = "channel_taken"  # the channel that a pending publisher would make can't be made


class BadToken(Exception):  # noqa: N818 (its name is a sentence)
    """The identity token is refused; `reason` is one sentence for whoever runs the job."""

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BadFields(Exception):  # noqa: N818
    """A publisher's form was filled in wrongly; `reasons` has a sentence per field."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(" ".join(reasons.values()))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a publisher's form. `choices`: nothing else may be entered; ("true",) alone is a check box.

    `pattern` matches the whole value, and `form` says it in words after "expected".
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
    is_widening: bool = False  # filled in, it lets more pass, not less


@dataclass(frozen=True, slots=True)
class ClaimMismatch:
    """A field that a publisher has otherwise than the token.

    `name` is a field's or, where `is_pin`, a stable id's claim. `is_event`: it is what started the run.
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
    """Where an artifact comes from, for people. "" where unknown; every URL is https."""

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
    """`text` as providers compare names that ignore case."""
    return text.translate(ASCII_LOWER)


def text_claim(claims: Claims, name: str) -> str:
    """An optional claim; "" where it is absent or null. Raises BadToken where it is no string."""
    value = claims.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadToken(Code.BAD_CLAIM, f"The claim {name} is {quote(value)}; expected a string.")
    return value


def needed_claim(claims: Claims, name: str, hint: str = "") -> str:
    """A claim without which nothing can be said. Raises BadToken where it is absent, empty or no string."""
    if claims.get(name) in (None, ""):
        raise BadToken(Code.MISSING_CLAIM, f"The token has no claim {name}{hint and f'; {hint}'}.")
    return text_claim(claims, name)
