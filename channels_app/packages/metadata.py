"""What a package says of itself in info/index.json and info/about.json, made fit to show; all hostile."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import idna

from channels_app.models import Artifact
from channels_app.packages import packages, timestamps
from channels_app.packages.excerpts import Excerpt, cut, excerpt

LINKS = {"home": "Home", "doc_url": "Documentation", "dev_url": "Development", "source_url": "Source"}
LINK_MAX_CHARACTERS = 500
LINKS_OF_A_KIND = 5
# How much of one thing a page shows, and of all things of a kind: characters are up to nine bytes each.
LINE_MAX_CHARACTERS = 300
SPECS_SHOWN, SPECS_MAX_CHARACTERS = 100, 8000
CONSTRAINTS_SHOWN = 5
FIELDS_SHOWN, FIELDS_MAX_CHARACTERS = 40, 6000
LICENCES_SHOWN, LICENCES_MAX_CHARACTERS = 20, 20_000
WARNINGS_SHOWN, WARNINGS_MAX_CHARACTERS = 20, 6000
PATHS_MAX_CHARACTERS = 20_000
DOCUMENT_MAX_CHARACTERS = 8000
# Of info/index.json: what the page shows in a place of its own. The rest is shown key by key.
SHOWN_KEYS = {"name", "version", "build", "build_number", "subdir", "timestamp", "license", "depends", "constrains"}


@dataclass(frozen=True, slots=True)
class Link:
    """An address that a package gives; `href` is empty where a link must not lead there."""

    label: str
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """A package that another needs: its name, and each constraint with the subdirs where it holds, none for all."""

    name: str
    constraints: list[tuple[str, list[str]]]


def words(value: object) -> str:
    """What should be text, as one line: about.json has lists and other things there, too."""
    if isinstance(value, list):
        return ", ".join(part for part in map(words, value) if part)
    return " ".join(value.split()) if isinstance(value, str) else ""


def licence(artifact: Artifact) -> str:
    stated = words(artifact.about_json.get("license")) or words(artifact.index_json.get("license"))
    return cut(stated, LINE_MAX_CHARACTERS)


def description(about: Mapping[str, Any]) -> str:
    """Markdown, more often than not; '' where it says no more than the summary."""
    text = about.get("description")
    return text if isinstance(text, str) and words(text) != words(about.get("summary")) else ""


def links(about: Mapping[str, Any]) -> list[Link]:
    """The addresses of about.json; each key has a string or a list of them."""
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
    """`text` where it is an address of the web that a link may lead to, else ''.

    No user names: `https://here.example@there.example/` leads elsewhere than it reads; neither do backslashes. A host
    of another script reads as what browsers ask for: `https://bücher.example/` as `https://xn--bcher-kva.example/`.
    """
    if not text.isprintable() or any(character in text for character in " \\@"):
        return ""
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
        return text if parts.netloc.isascii() else _with_ascii_host(parts)
    except ValueError:  # idna.IDNAError is one, too
        return ""


def _with_ascii_host(parts: SplitResult) -> str:
    """The address with the host as DNS has it. Raises ValueError for characters that no host has, such as U+2044."""
    host = idna.encode(parts.hostname or "", uts46=True).decode()
    return parts._replace(netloc=host if parts.port is None else f"{host}:{parts.port}").geturl()


def dependencies(artifacts: Iterable[Artifact]) -> Excerpt[Dependency]:
    """What these artifacts, all of one version, depend on, by name."""
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
    """The first of a list of match specs, each with its name."""
    every = [split_spec(spec) for spec in found] if isinstance(found, list) else []
    return excerpt(every, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=lambda spec: len(spec[0] + spec[1]))


def split_spec(spec: object) -> tuple[str, str]:
    """A match spec's name, and what it demands of it: a channel, a version, a build; no more than fits a line."""
    text = cut(str(spec).strip(), LINE_MAX_CHARACTERS)
    found = packages.SPEC_NAME.match(text)
    if not found:
        return "", text
    return packages.name_of(text), (text[: found.start(1)] + text[found.end(1) :]).strip()


def run_exports(stated: Mapping[str, Sequence[str]]) -> Excerpt[tuple[str, list[str]]]:
    """Kind by kind, the first of its specs."""
    entries = [(kind, cut(spec, LINE_MAX_CHARACTERS)) for kind, specs in stated.items() for spec in specs]
    found = excerpt(entries, most=SPECS_SHOWN, characters=SPECS_MAX_CHARACTERS, size=lambda entry: len(entry[1]))
    kinds: dict[str, list[str]] = {}
    for kind, spec in found.shown:
        kinds.setdefault(kind, []).append(spec)
    return Excerpt(list(kinds.items()), len(kinds) + found.more)


def files(stated: Sequence[tuple[str, int]], *, most: int) -> list[tuple[str, int]]:
    """The first of its paths with their sizes."""
    lines = [(cut(path, LINE_MAX_CHARACTERS), size) for path, size in stated[:most]]
    return excerpt(lines, most=most, characters=PATHS_MAX_CHARACTERS, size=lambda line: len(line[0])).shown


def licences(stated: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Its licence files with their texts; the last one that there is room for is cut, and so is each later one."""
    shown, room = [], LICENCES_MAX_CHARACTERS
    for path, text in stated[:LICENCES_SHOWN]:
        shown.append((cut(path, LINE_MAX_CHARACTERS), cut(text, room)))
        room -= min(room, len(text))
    return shown


def warnings(stated: Sequence[str]) -> list[str]:
    lines = [cut(line, LINE_MAX_CHARACTERS) for line in stated]
    return excerpt(lines, most=WARNINGS_SHOWN, characters=WARNINGS_MAX_CHARACTERS, size=len).shown


def built_at_ms(index: Mapping[str, Any]) -> int | None:
    """When it was built, by its own account: milliseconds since 1970."""
    return timestamps.stated_ms(index.get("timestamp"))


def other_fields(index: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The other keys of info/index.json, each with its value, as much as there is room for."""
    fields = [
        (cut(key, LINE_MAX_CHARACTERS), cut(_in_words(value), LINE_MAX_CHARACTERS))
        for key, value in sorted(index.items())
        if key not in SHOWN_KEYS
    ]
    found = excerpt(fields, most=FIELDS_SHOWN, characters=FIELDS_MAX_CHARACTERS, size=lambda field: len("".join(field)))
    return found.shown


def pretty(document: Mapping[str, Any]) -> str:
    """The beginning of a document, indented."""
    return cut(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False), DOCUMENT_MAX_CHARACTERS)


def _in_words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _size_of_dependency(found: Dependency) -> int:
    return len(found.name) + sum(len(text) + sum(map(len, subdirs)) for text, subdirs in found.constraints)
