"""Probe records for a spec, and the verdict of a client: a short digest of the records that the spec matches.

The tests use them with py-rattler, and `conda_verdicts.py` with conda, so that both verdicts are about the same
records.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

UNREADABLE = "-"
MATCHES_NONE = "0"
DIGEST_CHARACTERS = 8

BRACKETS = re.compile(r"\[.*\]")
WORD = re.compile(r"[0-9A-Za-z_.+!*-]+")
VERSION = re.compile(r"(?:[0-9]+!)?[0-9]+(?:[._-]?[0-9a-z]+)*(?:\+[0-9a-z]+(?:[._][0-9a-z]+)*)?")

COMMON_VERSIONS = (
    "0.1",
    "1",
    "1.0",
    "1.0.1",
    "1.2.3",
    "1.5",
    "2",
    "2.0.1",
    "2.3.4",
    "3.9.1",
    "4.5",
    "10",
    "2024a",
    "1!1",
)
COMMON_BUILDS = ("0", "1", "py39_0", "h1234_1")


class Probe(NamedTuple):
    """A record that a spec may match."""

    name: str
    version: str
    build: str
    build_number: int


def probes(spec: str) -> list[Probe]:
    """Return records with the versions and builds in `spec` and similar ones, in a fixed order."""
    head, *rest = WORD.findall(BRACKETS.sub("", spec).rpartition(":")[2]) or [""]
    name = head.lower().rstrip("!")
    texts = [spec, *rest]
    versions = dict.fromkeys([*COMMON_VERSIONS, *(near for text in texts for near in _near_versions(text))])
    builds = dict.fromkeys([*COMMON_BUILDS, *(near for word in rest for near in _near_builds(word))])
    return [Probe(name, version, build, n % 3) for version in versions for n, build in enumerate(builds)]


def digest(spec: str, place: Mapping[str, str], matches: Callable[[Probe], bool]) -> str:
    """Return a short hash of the client's matches with all probes, and of the channel and subdir that it reads."""
    answers = "".join("01"[matches(probe)] for probe in probes(spec))
    if "1" not in answers:
        return MATCHES_NONE
    read = f"{place.get('channel', '')} {place.get('subdir', '')} {answers}"
    return hashlib.sha256(read.encode()).hexdigest()[:DIGEST_CHARACTERS]


def _near_versions(text: str) -> Iterator[str]:
    """Yield the versions in `text`, and for each some that are a little lower, higher or longer."""
    for version in VERSION.findall(text.lower()):
        version = version.replace("-", "_")
        if len(version) > 40 or re.search(r"[0-9]{10}", version):
            continue
        yield from (version, f"{version}.0", f"{version}.1", f"{version}.0.1")
        if version[-1].isdigit():
            yield from (f"{version}a0", f"{version}.dev0")
        shorter = re.split(r"[._+]", version)[:-1]
        if shorter:
            yield from (".".join(shorter), ".".join([*shorter, "999"]))
        if number := re.search(r"[0-9]+\Z", version):
            before, last = version[: number.start()], int(number[0])
            yield from (f"{before}{last + 1}", f"{before}{max(last - 1, 0)}", f"{before}{last}5")


def _near_builds(word: str) -> Iterator[str]:
    """Yield the build strings that `word` may mean, and some that a glob in it matches."""
    for filling in ("", "x", "_0"):
        build = word.strip(".!-").replace("*", filling).replace("-", "_").replace("!", "_")
        if build and len(build) < 64:
            yield build
