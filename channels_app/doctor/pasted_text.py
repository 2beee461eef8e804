"""Parsing of a pasted key, address or command by its form alone. It uses neither Django nor models."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import SplitResult, unquote, urlsplit

from channels_app.authentication import placeholders

# An empty pair of quotes is a word, too: an empty value. So is a text within ${{ }} or < >.
WORDS = re.compile(r"\$?\{\{[^}]*\}\}|\"\"|''|[^\s'\"]+")
ADDRESS = re.compile(r"(?:https?|prefix)://(?:\$?\{\{[^}]*\}\}|<[^<>\s]*>|[^\s'\"<>])+", re.IGNORECASE)
KEY = re.compile(r"chub[-_][0-9A-Za-z_-]*")
KEY_OPTIONS = ("--token", "--bearer", "--api-key", "--conda-token", "--password")
USER_OPTIONS = ("-u", "--user")
KEY_VARIABLES = ("PREFIX_API_KEY", "QUETZ_API_KEY", "ARTIFACTORY_TOKEN", "HUB_KEY", "API_KEY")
TOKEN_MIN_CHARACTERS = 16
UPLOADS = re.compile(r"\b(?:upload|publish)\b")
DELETE = ["api", "v1", "delete"]
DELETES = re.compile(r"\bDELETE\b|/api/v1/delete/")

PROGRAMS = {"conda", "mamba", "micromamba", "pixi", "rattler", "rattler-build", "curl", "wget", "export", "set"}
STATUS_NAMES = {"unauthorized": "401", "forbidden": "403", "not found": "404", "conflict": "409"}
# Numbers in versions, ports and sizes are no status.
STATUS = re.compile(rf"(?<![\w.:=-])(40[1349]|422)(?![\w.-]*\w)|\b({'|'.join(STATUS_NAMES)})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AddressParts:
    """The target of an address: `kind` is channel, page, upload, delete or other."""

    kind: str
    channel: str
    path_key: str | None  # of /t/<key>/
    endpoint: str = ""  # the path of an upload or deletion up to the channel


@dataclass(frozen=True, slots=True)
class PastedText:
    """The recognized parts of a text.

    `secret` is the text in the place of a key: empty for an empty value, None if there is no such place. `needed` is
    the permission that the command needs.
    """

    secret: str | None
    channel: str
    needed: str
    addresses: list[SplitResult]
    words: list[str] = field(repr=False)
    status: str = ""  # of HTTP, by its number or name

    def option(self, *names: str) -> str | None:
        """Return the value of the first option of `names` in the text, after a blank or `=`."""
        return _option(self.words, names)

    def is_command(self, *parts: str) -> bool:
        """Tell whether `parts` follow each other in the text; case is ignored."""
        words = [word.lower() for word in self.words]
        spans = (words[n : n + len(parts)] for n in range(len(words)))
        return any(tuple(span) == parts for span in spans)

    def is_prose(self) -> bool:
        """Tell whether the text has no key, address, channel, option or program."""
        has_command = any(word.startswith("-") or word in PROGRAMS for word in self.words)
        return self.secret is None and not (self.addresses or self.channel or has_command)


def read(text: str, uploads: Sequence[list[str]]) -> PastedText:
    """Parse a text; parts that are missing are empty. `uploads` has the endpoints of client protocols."""
    words = ["" if word in ('""', "''") else word for word in WORDS.findall(text)]
    addresses = [address for found in ADDRESS.findall(text) if (address := split(found))]
    places = [place(address, uploads) for address in addresses]
    kinds = {each.kind for each in places}
    in_address = next((each.channel for each in places if each.channel), "")
    named = _option(words, ("--channel", "-c")) or ""
    return PastedText(
        secret=_secret(text, words, addresses, places),
        channel=in_address or ("" if "://" in named else named),
        needed="delete" if DELETES.search(text) else "upload" if UPLOADS.search(text) or "upload" in kinds else "read",
        addresses=addresses,
        words=words,
        status=_status(text),
    )


def place(address: SplitResult, uploads: Sequence[list[str]]) -> AddressParts:
    """Classify an address of a hub by its path. `uploads` has the endpoints of client protocols."""
    segments = [unquote(segment).replace("\0", "") for segment in address.path.split("/")[1:]]
    # The key is empty in /t//channel.
    path_key = segments[1] if segments[:1] == ["t"] and len(segments) > 1 else None
    rest = [segment for segment in (segments[2:] if path_key is not None else segments) if segment]
    if rest and address.scheme == "prefix":
        return AddressParts("channel", rest[-1], path_key)
    for kind, words in [*(("upload", words) for words in uploads if words), ("delete", DELETE)]:
        if rest[: len(words)] == words:
            return AddressParts(kind, "".join(rest[len(words) :][:1]), path_key, "/".join(words))
    match rest:
        case ["channels", name, *_]:
            return AddressParts("page", name, path_key)
        case [("account" | "accounts" | "admin" | "api" | "channels" | "docs" | "doctor" | "search"), *_]:
            return AddressParts("other", "", path_key)
        case [name, *_]:
            return AddressParts("channel", name, path_key)
    return AddressParts("other", "", path_key)


def _status(text: str) -> str:
    if not (found := STATUS.search(ADDRESS.sub("", text))):
        return ""
    return found[1] or STATUS_NAMES[found[2].lower()]


def _secret(text: str, words: list[str], addresses: list[SplitResult], places: list[AddressParts]) -> str | None:
    if found := KEY.search(text):
        return found[0]
    after_bearer = [value for name, value in pairwise([*words, ""]) if name.lower() == "bearer"]
    after_bearer = ["" if "://" in value else value for value in after_bearer]
    in_variables = [value for name, _, value in (word.partition("=") for word in words) if name in KEY_VARIABLES]
    in_paths = [each.path_key for each in places]
    pairs = [(address.username, address.password) for address in addresses if address.username is not None]
    if (given := _option(words, USER_OPTIONS)) is not None:
        user, _, password = given.partition(":")
        pairs.append((user, password))
    in_pairs = [_key_of_pair(unquote(user or ""), unquote(password or "")) for user, password in pairs]
    candidates = [_option(words, KEY_OPTIONS), *after_bearer, *in_variables, *in_paths, *in_pairs]
    is_one_word = len(words) == 1 and not addresses
    if is_one_word and (len(text) >= TOKEN_MIN_CHARACTERS or placeholders.kind(words[0])):
        candidates.append(words[0])
    present = [candidate for candidate in candidates if candidate is not None]
    return next((candidate for candidate in present if candidate), "" if present else None)


def _key_of_pair(user: str, password: str) -> str:
    """Return the key of a user name and a password.

    A user name that has the form of a key was found before.
    """
    is_left_out = password in ("", "x-oauth-basic")
    return user if is_left_out and placeholders.kind(user) else password


def _option(words: list[str], names: tuple[str, ...]) -> str | None:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else following
    return None


def split(address: str) -> SplitResult | None:
    """Split an address; return None if it is invalid, such as with a port that is not a number."""
    try:
        found = urlsplit(address)
        _ = found.port
    except ValueError:
        return None
    return found if found.hostname else None
