"""Metadata of info/index.json and info/about.json, prepared for pages. All of it is untrusted input."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna

from channels_app.identifiers import NAME_MAX_CHARACTERS
from channels_app.models import Artifact
from channels_app.packages import packages, timestamps
from channels_app.packages.excerpts import Excerpt, cut, excerpt

LINKS = {"home": "Home", "doc_url": "Documentation", "dev_url": "Development", "source_url": "Source"}
LINK_MAX_CHARACTERS = 500
LINKS_OF_A_KIND = 5
# Limits of one shown item, and of all items of a kind. A character takes up to nine bytes on a page.
LINE_MAX_CHARACTERS = 300
SPECS_SHOWN, SPECS_MAX_CHARACTERS = 100, 8000
CONSTRAINTS_SHOWN = 5
FIELDS_SHOWN, FIELDS_MAX_CHARACTERS = 40, 6000
MAINTAINERS_SHOWN = 20
TEXTS_SHOWN, TEXTS_MAX_CHARACTERS = 20, 20_000
WARNINGS_SHOWN, WARNINGS_MAX_CHARACTERS = 20, 6000
PATHS_MAX_CHARACTERS = 20_000
DOCUMENT_MAX_CHARACTERS = 8000
# Keys of info/index.json that the page shows in places of their own. The others are listed by key.
SHOWN_KEYS = {"name", "version", "build", "build_number", "subdir", "timestamp", "license", "depends", "constrains"}


@dataclass(frozen=True, slots=True)
class Link:
    """A URL of a package's metadata. `href` is empty if it is not safe to link."""

    label: str
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """A required package, and each constraint with the subdirs where it holds; an empty list means all."""

    name: str
    constraints: list[tuple[str, list[str]]]


def words(value: object) -> str:
    """Return text as one line. Lists of texts are joined; other values of about.json become empty."""
    if isinstance(value, list):
        return ", ".join(part for part in map(words, value) if part)
    return " ".join(value.split()) if isinstance(value, str) else ""


def licence(artifact: Artifact) -> str:
    stated = words(artifact.about_json.get("license")) or words(artifact.index_json.get("license"))
    return cut(stated, LINE_MAX_CHARACTERS)


def maintainers(about: Mapping[str, Any]) -> list[str]:
    """Return the maintainers of the recipe: user names of the place where it is developed."""
    extra = about.get("extra")
    named = extra.get("recipe-maintainers") if isinstance(extra, dict) else None
    names = [cut(words(name), NAME_MAX_CHARACTERS) for name in named] if isinstance(named, list) else []
    return [name for name in names if name][:MAINTAINERS_SHOWN]


def description(about: Mapping[str, Any]) -> str:
    """Return the description, mostly Markdown; '' if it only repeats the summary."""
    text = about.get("description")
    return text if isinstance(text, str) and words(text) != words(about.get("summary")) else ""


def links(about: Mapping[str, Any]) -> list[Link]:
    """Return the links of about.json; each key has a string or a list of them."""
    found = []
    for key, label in LINKS.items():
        values = about.get(key)
        for value in values[:LINKS_OF_A_KIND] if isinstance(values, list) else [values]:
            text = words(value)[:LINK_MAX_CHARACTERS]
            if text:
                href = web_address(text)
                found.append(Link(label, href.partition("://")[2].rstrip("/") or text, href))
    return found


def web_address(text: str) -> str:
    """Return `text` if it is a web address that is safe to link, else ''.

    User names are refused: `https://here.example@there.example/` leads elsewhere than it reads; so are backslashes. A
    host of another script is shown as browsers request it: `https://bücher.example/` as
    `https://xn--bcher-kva.example/`.
    """
    if not text.isprintable() or any(character in text for character in " \\@"):
        return ""
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
        return text if parts.netloc.isascii() else _with_ascii_host(parts)
    except ValueError:  # includes idna.IDNAError
        return ""


def _with_ascii_host(parts: SplitResult) -> str:
    """Return the address with the host in its DNS form. Raise ValueError for characters invalid in hosts, such as
    U+2044.
    """
    host = idna.encode(parts.hostname or "", uts46=True).decode()
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}").geturl()


def dependencies(artifacts: Iterable[Artifact]) -> Excerpt[Dependency]:
    """Return the dependencies of these artifacts, all of one version, by name."""
    found: dict[str, dict[str, set[str]]] = {}
    subdirs = set()
    for artifact in artifacts:
        subdirs.add(artifact.subdir)
        for name, constraint in map(split_spec, artifact.index_json.get("depends", ())):
            found.setdefault(name, {}).setdefault(constraint, set()).add(artifact.subdir)
    every = [
        Dependency(
            name,
            [
                (text, [] if where == subdirs else sorted(where))
                for text, where in list(constraints.items())[:CONSTRAINTS_SHOWN]
            ],
        )
        for name, constraints in sorted(found.items())
    ]
    return excerpt(every, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=_size_of_dependency)


def specs(found: object) -> Excerpt[tuple[str, str]]:
    """Return the first match specs of a list, each split by split_spec."""
    stated = lines(found)
    return Excerpt([split_spec(spec) for spec in stated.shown], stated.total)


def lines(found: object) -> Excerpt[str]:
    """Return the first match specs of a list, each cut to a line."""
    every = [cut(str(spec).strip(), LINE_MAX_CHARACTERS) for spec in found] if isinstance(found, list) else []
    return excerpt(every, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=len)


def split_spec(spec: object) -> tuple[str, str]:
    """Return a match spec's name, and its channel, version and build constraints; cut to a line."""
    text = cut(str(spec).strip(), LINE_MAX_CHARACTERS)
    found = packages.SPEC_NAME.match(text)
    if not found:
        return "", text
    return packages.name_of(text), (text[: found.start(1)] + text[found.end(1) :]).strip()


def run_exports(stated: Mapping[str, Sequence[str]]) -> Excerpt[tuple[str, list[str]]]:
    """Return the first specs of each kind."""
    entries = [(kind, cut(spec, LINE_MAX_CHARACTERS)) for kind, specs in stated.items() for spec in specs]
    found = excerpt(entries, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=lambda entry: len(entry[1]))
    kinds: dict[str, list[str]] = {}
    for kind, spec in found.shown:
        kinds.setdefault(kind, []).append(spec)
    return Excerpt(list(kinds.items()), len(kinds) + found.more)


def files(stated: Sequence[tuple[str, int]], *, most: int) -> list[tuple[str, int]]:
    """Return the first paths with their sizes."""
    lines = [(cut(path, LINE_MAX_CHARACTERS), size) for path, size in stated[:most]]
    return excerpt(lines, most=most, characters=PATHS_MAX_CHARACTERS, size=lambda line: len(line[0])).shown


def texts(stated: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the files with their texts. The texts together are limited; those beyond are cut."""
    shown, room = [], TEXTS_MAX_CHARACTERS
    for path, text in stated[:TEXTS_SHOWN]:
        shown.append((cut(path, LINE_MAX_CHARACTERS), cut(text, room)))
        room -= min(room, len(text))
    return shown


def warnings(stated: Sequence[str]) -> list[str]:
    lines = [cut(line, LINE_MAX_CHARACTERS) for line in stated]
    return excerpt(lines, most=WARNINGS_SHOWN, characters=WARNINGS_MAX_CHARACTERS, size=len).shown


def built_at_ms(index: Mapping[str, Any]) -> int | None:
    """Return the build time that the package states, in milliseconds since 1970."""
    return timestamps.stated_ms(index.get("timestamp"))


def other_fields(index: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the other keys of info/index.json with their values, within the limits."""
    fields = [
        (cut(key, LINE_MAX_CHARACTERS), cut(_as_text(value), LINE_MAX_CHARACTERS))
        for key, value in sorted(index.items())
        if key not in SHOWN_KEYS
    ]
    found = excerpt(fields, most=FIELDS_SHOWN, characters=FIELDS_MAX_CHARACTERS, size=lambda field: len("".join(field)))
    return found.shown


def pretty(document: Mapping[str, Any]) -> str:
    """Return the beginning of a document, indented."""
    return cut(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False), DOCUMENT_MAX_CHARACTERS)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _size_of_dependency(found: Dependency) -> int:
    return len(found.name) + sum(len(text) + sum(map(len, subdirs)) for text, subdirs in found.constraints)
