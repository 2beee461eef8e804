"""PURE: what a package says of itself in info/index.json and info/about.json, made fit to show; all hostile."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from channels_app import packages, timestamps
from channels_app.models import Artifact

LINKS = {"home": "Home", "doc_url": "Documentation", "dev_url": "Development", "source_url": "Source"}
LINK_MAX_CHARACTERS = 2000
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
    return words(artifact.about_json.get("license")) or words(artifact.index_json.get("license"))


def description(about: Mapping[str, Any]) -> str:
    """Markdown, more often than not; '' where it says no more than the summary."""
    text = about.get("description")
    return text if isinstance(text, str) and words(text) != words(about.get("summary")) else ""


def links(about: Mapping[str, Any]) -> list[Link]:
    """The addresses of about.json; each key has a string or a list of them."""
    found = []
    for key, label in LINKS.items():
        values = about.get(key)
        for value in values if isinstance(values, list) else [values]:
            text = words(value)[:LINK_MAX_CHARACTERS]
            if text:
                href = web_address(text)
                found.append(Link(label, href.partition("://")[2].rstrip("/") or text, href))
    return found


def web_address(text: str) -> str:
    """`text` where it is an address of the web that a link may lead to, else ''.

    No user names: `https://here.example@there.example/` leads elsewhere than it reads; neither do backslashes.
    """
    if not text.isprintable() or any(character in text for character in " \\@"):
        return ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in ("http", "https") and parts.hostname else ""


def dependencies(artifacts: Iterable[Artifact]) -> list[Dependency]:
    """What these artifacts, all of one version, depend on, by name."""
    found: dict[str, dict[str, set[str]]] = {}
    subdirs = set()
    for artifact in artifacts:
        subdirs.add(artifact.subdir)
        for name, constraint in map(split_spec, artifact.index_json.get("depends", ())):
            found.setdefault(name, {}).setdefault(constraint, set()).add(artifact.subdir)
    return [
        Dependency(name, [(text, [] if where == subdirs else sorted(where)) for text, where in constraints.items()])
        for name, constraints in sorted(found.items())
    ]


def split_spec(spec: object) -> tuple[str, str]:
    """A match spec's name, and what it demands of it: a channel, a version, a build."""
    text = str(spec).strip()
    found = packages.SPEC_NAME.match(text)
    if not found:
        return "", text
    return packages.name_of(text), (text[: found.start(1)] + text[found.end(1) :]).strip()


def built_at_ms(index: Mapping[str, Any]) -> int | None:
    """When it was built, by its own account: milliseconds since 1970."""
    return timestamps.stated_ms(index.get("timestamp"))


def other_fields(index: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What info/index.json says besides, key by key."""
    return [
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in sorted(index.items())
        if key not in SHOWN_KEYS
    ]


def pretty(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
