"""The common behaviour of all providers of identity tokens; the module of each provider overrides parts of it."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from publishing.id_tokens.claims import (
    BadFields,
    BadToken,
    ClaimMismatch,
    Claims,
    Code,
    Field,
    TokenProvenance,
    lower,
    needed_claim,
    text_claim,
)
from publishing.wording import quote

EVENTS = "events"  # the field that allows further events


class Provider:
    """A service that signs identity tokens. The argument `fields` is always the result of `clean`."""

    name: ClassVar[str]
    title: ClassVar[str]
    issuer: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    subject_field: ClassVar[str]
    pins: ClassVar[tuple[str, ...]]
    needed_claims: ClassVar[tuple[str, ...]]
    optional_claims: ClassVar[tuple[str, ...]] = ()
    key_hosts: ClassVar[tuple[str, ...]] = ()  # hosts of its keys besides the issuer's host
    claims_hint: ClassVar[str] = ""  # the remedy for a missing claim
    # Events that may start a run that publishes, in the words of its tokens. Empty if the tokens don't state events.
    events: ClassVar[tuple[str, ...]] = ()
    max_lifetime_s: ClassVar[int]
    has_token_id: ClassVar[bool]

    def clean(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the normalised value of every field, "" for empty ones. Raise BadFields if one is invalid."""
        cleaned = {field.name: clean_field(field, values.get(field.name, "")) for field in self.fields}
        if EVENTS in cleaned:
            cleaned[EVENTS] = ", ".join(words(cleaned[EVENTS]))
        reasons = {field.name: reason for field in self.fields if (reason := fault(field, cleaned[field.name]))}
        reasons |= {
            name: f"{self.title} publishers have no field {quote(name)}." for name in values.keys() - cleaned.keys()
        }
        if reasons:
            raise BadFields(reasons)
        return cleaned

    def subject(self, fields: Mapping[str, str]) -> str:
        """Return the name by which publishers are looked up. It equals `claimed_subject` of their tokens."""
        return lower(fields[self.subject_field])

    def claimed_subject(self, claims: Claims) -> str:
        return lower(self.found(claims)[self.subject_field])

    def check(self, claims: Claims) -> None:
        """Check the claims that need no publisher: presence, form, refused events. Raise BadToken if one is invalid."""
        for name in ("sub", *self.needed_claims):
            needed_claim(claims, name, self.claims_hint)
        for name in self.optional_claims:
            text_claim(claims, name)
        self.refuse(claims)
        self.found(claims)

    def refuse(self, claims: Claims) -> None:
        """Raise BadToken for runs that a stranger may control."""

    def found(self, claims: Claims) -> dict[str, str]:
        """Return the value of each field for these claims, normalised. Raise BadToken if a claim is malformed."""
        raise NotImplementedError

    def difference(self, fields: Mapping[str, str], pins: Mapping[str, str], claims: Claims) -> ClaimMismatch | None:
        """Return the first mismatch of publisher and token, stable ids first, or None if all fields match."""
        for name, pinned in pins.items():
            if claims.get(name) != pinned:
                return ClaimMismatch(name, name, pinned, str(claims.get(name, "")), is_pin=True)
        titles = {field.name: field.title for field in self.fields}
        for name, found in self.found(claims).items():
            if not self.matches(name, fields[name], found):
                return ClaimMismatch(name, titles[name], fields[name], found)
        event = self.event(claims) if self.events else ""
        if event and event not in (allowed := [*self.events, *words(fields.get(EVENTS, ""))]):
            return ClaimMismatch(EVENTS, "Event", ", ".join(allowed), event, is_event=True)
        return None

    def event(self, claims: Claims) -> str:
        """Return the event that started the run, in the words of `events`, or "" if another field decides about it."""
        raise NotImplementedError

    def matches(self, name: str, expected: str, found: str) -> bool:
        """Tell whether the field `name` allows `found`. An empty optional field allows every value."""
        return expected in ("", found)

    def specificity(self, fields: Mapping[str, str]) -> int:
        """Return the rank of a publisher: of two that match, the higher one is used."""
        narrowing = (field for field in self.fields if not field.is_required and not field.is_widening)
        return sum(1 for field in narrowing if fields[field.name])

    def pins_in(self, claims: Claims) -> dict[str, str]:
        return {name: needed_claim(claims, name) for name in self.pins}

    def provenance(self, claims: Claims) -> TokenProvenance:
        raise NotImplementedError

    def page_url(self, fields: Mapping[str, str], issuer: str) -> str:
        """Return the https URL of the web page of the repository or project, or "" if there is none."""
        return ""

    def lookup_url(self, fields: Mapping[str, str], issuer: str) -> str:
        """Return the URL of the provider's public API for the stable ids, or "" if there is none."""
        return ""

    def pins_from(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return the stable ids in that API's response. Raise ValueError, KeyError or TypeError if it has none."""
        raise ValueError(f"{self.title} has no public API for stable ids.")

    def certificate(self, claims: Claims) -> dict[str, str] | None:
        """Return the claims of a Fulcio certificate of this run, or None if Fulcio certifies no repository ids.

        Keys: issuer, source_repository_identifier, source_repository_owner_identifier, build_config_uri (without "@"
        and the ref), source_repository_ref. Source: sigstore/fulcio, config/identity/config.yaml.
        """
        return None


def events_field(usual: tuple[str, ...], further: tuple[str, ...]) -> Field:
    """Return the field by which a publisher allows further events than the `usual` ones."""
    one = f"(?:{'|'.join(further)})"
    return Field(
        name=EVENTS,
        title="Further events",
        help=f"Besides {', '.join(usual)}. They may run code that was not reviewed yet.",
        example=further[0],
        pattern=f"{one}(?:, {one})*",
        form=f"some of {', '.join(further)}",
        is_widening=True,
    )


def words(text: str) -> list[str]:
    """Return the distinct words of a list that is separated by commas or blanks, sorted."""
    return sorted(set(text.replace(",", " ").split()))


def clean_field(field: Field, value: str) -> str:
    value = value.strip()
    return lower(value) if field.ignores_case else value


def fault(field: Field, value: str) -> str:
    """Return the fault of a cleaned value in one sentence, or "" if it is valid."""
    if not value:
        return f"{field.title} is missing; expected {field.form}, such as {field.example}." if field.is_required else ""
    if len(value) > field.max_characters:
        return f"{field.title} has {len(value)} characters; at most {field.max_characters} are allowed."
    if field.choices and value not in field.choices:
        return f"{field.title} is {quote(value)}; expected {' or '.join(field.choices)}, or nothing."
    if not re.fullmatch(field.pattern, value):
        return f"{field.title} is {quote(value)}; expected {field.form}, such as {field.example}."
    return ""


def https_url(url: str) -> str:
    """Return `url` if it is https, else "": pages link only to https. Issuers on plain http are those of tests."""
    return url if url.startswith("https://") else ""


def strip_ref(value: str, refs: tuple[str, ...], name: str) -> str:
    """Return `PATH` of a claim `PATH@REF`. Raise BadToken unless REF is one of `refs`.

    Paths and refs may contain an @ themselves.
    """
    for ref in refs:
        if ref and value.endswith(f"@{ref}"):
            return value.removesuffix(f"@{ref}")
    expected = " or ".join(f"@{ref}" for ref in refs if ref)
    raise BadToken(Code.BAD_CLAIM, f"The claim {name} is {quote(value)}; expected it to end in {expected or 'a ref'}.")


def document_id(value: object) -> str:
    """Return a numeric id of an API's response as the token's claims write it. Raise ValueError if it is no integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the id is {quote(value)}; expected a number.")
    return str(value)
