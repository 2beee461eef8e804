"""What every provider of identity tokens has in common; a provider's file says where it differs."""

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

EVENTS = "events"  # the field of the further events that a publisher lets in


class Provider:
    """A service that signs identity tokens. Where a function takes `fields`, these are what `clean` returned."""

    name: ClassVar[str]
    title: ClassVar[str]
    issuer: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    subject_field: ClassVar[str]
    pins: ClassVar[tuple[str, ...]]
    needed_claims: ClassVar[tuple[str, ...]]
    optional_claims: ClassVar[tuple[str, ...]] = ()
    key_hosts: ClassVar[tuple[str, ...]] = ()  # where its keys lie, if not on the issuer's host
    claims_hint: ClassVar[str] = ""  # what to do where a needed claim is missing
    # What may start a run that publishes, as its tokens say it; empty where they don't.
    events: ClassVar[tuple[str, ...]] = ()
    max_lifetime_s: ClassVar[int]
    has_token_id: ClassVar[bool]

    def clean(self, values: Mapping[str, str]) -> dict[str, str]:
        """The normalised value of every field, "" where left out. Raises BadFields."""
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
        """The name by which publishers are looked up; equals `claimed_subject` of its tokens."""
        return lower(fields[self.subject_field])

    def claimed_subject(self, claims: Claims) -> str:
        return lower(self.found(claims)[self.subject_field])

    def check(self, claims: Claims) -> None:
        """What needs no publisher: claims present and of their form, refused events. Raises BadToken."""
        for name in ("sub", *self.needed_claims):
            needed_claim(claims, name, self.claims_hint)
        for name in self.optional_claims:
            text_claim(claims, name)
        self.refuse(claims)
        self.found(claims)

    def refuse(self, claims: Claims) -> None:
        """Raises BadToken for runs that a stranger may control."""

    def found(self, claims: Claims) -> dict[str, str]:
        """What each field would hold for these claims, normalised. Raises BadToken."""
        raise NotImplementedError

    def difference(self, fields: Mapping[str, str], pins: Mapping[str, str], claims: Claims) -> ClaimMismatch | None:
        """The first thing that the publisher has otherwise; stable ids come first. None where all matches."""
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
        """The event that started the run, in the words of `events`; "" where another field decides on it."""
        raise NotImplementedError

    def matches(self, name: str, expected: str, found: str) -> bool:
        """Whether the field `name` lets `found` pass; an empty optional field lets everything pass."""
        return expected in ("", found)

    def specificity(self, fields: Mapping[str, str]) -> int:
        """Of two publishers that match, the higher one wins."""
        narrowing = (field for field in self.fields if not field.is_required and not field.is_widening)
        return sum(1 for field in narrowing if fields[field.name])

    def pins_in(self, claims: Claims) -> dict[str, str]:
        return {name: needed_claim(claims, name) for name in self.pins}

    def provenance(self, claims: Claims) -> TokenProvenance:
        raise NotImplementedError

    def page_url(self, fields: Mapping[str, str], issuer: str) -> str:
        """The page of what `fields` name, for people; "" where there is none, else https."""
        return ""

    def lookup_url(self, fields: Mapping[str, str], issuer: str) -> str:
        """The provider's public API for the stable ids, "" where there is none."""
        return ""

    def pins_from(self, document: Mapping[str, Any]) -> dict[str, str]:
        """The stable ids in that API's answer. Raises ValueError, KeyError or TypeError where it has none."""
        raise ValueError(f"{self.title} has no public API for stable ids.")

    def certificate(self, claims: Claims) -> dict[str, str] | None:
        """What a Fulcio certificate of this very run says; None where Fulcio certifies no repository's id.

        Keys: issuer, source_repository_identifier, source_repository_owner_identifier, build_config_uri (without
        "@" and what follows), source_repository_ref. Source: sigstore/fulcio, config/identity/config.yaml.
        """
        return None


def events_field(usual: tuple[str, ...], further: tuple[str, ...]) -> Field:
    """The box by which a publisher lets in further events than the `usual` ones."""
    one = f"(?:{'|'.join(further)})"
    return Field(
        name=EVENTS,
        title="Further events",
        help=f"Besides {', '.join(usual)}. They may run code that nobody has reviewed yet.",
        example=further[0],
        pattern=f"{one}(?:, {one})*",
        form=f"some of {', '.join(further)}",
        is_widening=True,
    )


def words(text: str) -> list[str]:
    """The names in a list by commas or blanks, each once."""
    return sorted(set(text.replace(",", " ").split()))


def clean_field(field: Field, value: str) -> str:
    value = value.strip()
    return lower(value) if field.ignores_case else value


def fault(field: Field, value: str) -> str:
    """What is wrong with a cleaned value, in a sentence; "" where nothing is."""
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
    """Pages link to nothing else; an issuer on plain http is a test's."""
    return url if url.startswith("https://") else ""


def strip_ref(value: str, refs: tuple[str, ...], name: str) -> str:
    """`PATH` of a claim `PATH@REF` whose REF is one of `refs`: paths and refs may themselves hold an @."""
    for ref in refs:
        if ref and value.endswith(f"@{ref}"):
            return value.removesuffix(f"@{ref}")
    expected = " or ".join(f"@{ref}" for ref in refs if ref)
    raise BadToken(Code.BAD_CLAIM, f"The claim {name} is {quote(value)}; expected it to end in {expected or 'a ref'}.")


def document_id(value: object) -> str:
    """A numeric id of an API's answer as the token's claims write it. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"the id is {quote(value)}; expected a number.")
    return str(value)
