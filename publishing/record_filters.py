"""Filters of packages by MatchSpecs and licences, for imports and for upstream channels. Without I/O.

A record is a mapping with `version`, `build`, `build_number`, and perhaps `sha256`, `md5`, `license`, `license_family`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rattler import BuildString, MatchSpec, PackageRecord, Version

from publishing import name_globs
from publishing.archive.specs import NotAlikeError, check
from publishing.wording import quote

SPECS_MAX = 500
SPEC_MAX_CHARACTERS = 200
# Specs that say more than a name with wildcards are compared with many records. So many characters of them together
# take about 10 s for 400,000 records.
BROAD_MAX_CHARACTERS = 1000
LICENSES_MAX, LICENSE_MAX_CHARACTERS = 200, 64
NEWEST_VERSIONS_MAX = 10_000
# Longer licences of records are compared with no glob.
LICENSE_TEXT_MAX_CHARACTERS = 1000
NAME = re.compile(r"[A-Za-z0-9_.*?-]+")
# rattler does not compare these with a record.
UNKNOWN_KEYS = re.compile(r"[\[,] *(?:channel|when|extras|flags)=")
LICENSE = re.compile(r"[!-~][ -~]*")
# Between the licences of one text, whose blanks are single.
JOINTS = re.compile(r" and | or |[(),;/|&]", re.IGNORECASE)
INT64 = 2**63
# All records match under this name, because globs have matched their own.
ANY_NAME = "name"

EXCLUDED, NOT_INCLUDED = "A filter excludes this package.", "No filter includes this package."
EXCLUDED_LICENSE, NOT_INCLUDED_LICENSE = "A filter excludes its licence", "No filter includes its licence"

Record = Mapping[str, Any]


def older(versions: Iterable[str], newest: int, among: Iterable[str]) -> set[str]:
    """Return those of `among` that are older than each of the `newest` newest of `versions`, in conda's order.

    Spellings of an equal version, as 1.0 and 1.0.0, are one.
    """
    kept = sorted({Version(version) for version in set(versions)}, reverse=True)[:newest]
    return {version for version in set(among) if Version(version) < kept[-1]} if len(kept) == newest else set()


def check_newest_versions(count: int | None) -> None:
    """Raise BadSpecError unless so many newest versions of a name can be kept. None: all."""
    if count is not None and not 1 <= count <= NEWEST_VERSIONS_MAX:
        raise BadSpecError(f"The newest versions to keep are {count}; expected 1 to {NEWEST_VERSIONS_MAX:,}.")


class BadSpecError(ValueError):
    """The text is no spec or licence of a filter. The message quotes it and states the expected form."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A MatchSpec whose name may have `*` and `?`, such as `acme-* >=2`. `rest`: None if each version matches."""

    name: str
    subdir: str
    rest: MatchSpec | None

    @staticmethod
    def of(text: str) -> "Spec":
        """Return the spec. Raise BadSpecError."""
        found = NAME.match(text)
        if found is None or not text.isprintable() or len(text) > SPEC_MAX_CHARACTERS:
            raise _bad(text, "it has no name at its beginning, or more than one line, or is too long")
        rest = text[found.end() :].strip()
        if UNKNOWN_KEYS.search(rest):
            raise _bad(text, "filters compare no channel, when, extras and flags")
        spec = f"{ANY_NAME}{rest}" if rest.startswith("[") else f"{ANY_NAME} {rest}".strip()
        try:
            check(spec)
        except NotAlikeError as error:
            raise _bad(text, str(error)) from None
        matching = MatchSpec(spec) if rest else None
        return Spec(found[0].lower(), (matching and matching.subdir) or "", matching)

    @property
    def is_exact(self) -> bool:
        """Tell whether the spec can match packages of one name alone."""
        return not name_globs.with_wildcards([self.name])


def _bad(text: str, reason: str) -> BadSpecError:
    return BadSpecError(
        f"Found the spec '{text[:SPEC_MAX_CHARACTERS]}'; expected one like 'numpy >=2' or 'acme-*': {reason}."
    )


@dataclass(frozen=True, slots=True)
class Specs:
    """Specs, of which a record matches at least one. `broad`: those with wildcards that say more than the name."""

    names: tuple[str, ...]
    exact: Mapping[str, Sequence[Spec]]
    broad: Sequence[Spec]

    @staticmethod
    def of(texts: Iterable[str]) -> "Specs":
        """Return the specs. Raise BadSpecError."""
        specs = {text: Spec.of(text) for text in texts}
        exact: dict[str, list[Spec]] = {}
        for spec in specs.values():
            if spec.rest and spec.is_exact:
                exact.setdefault(spec.name, []).append(spec)
        broad = {text: spec for text, spec in specs.items() if spec.rest and not spec.is_exact}
        if (characters := sum(map(len, broad))) > BROAD_MAX_CHARACTERS:
            raise BadSpecError(
                f"Found {characters:,} characters of specs like 'acme-* >=2' together; expected at most "
                f"{BROAD_MAX_CHARACTERS:,}."
            )
        return Specs(tuple(spec.name for spec in specs.values() if not spec.rest), exact, list(broad.values()))

    def __bool__(self) -> bool:
        return bool(self.names or self.exact or self.broad)

    def of_name(self, name: str) -> list[Spec] | None:
        """Return the specs that decide about records of this name; None if all of them match."""
        if name_globs.matches(name, self.names):
            return None
        return [*self.exact.get(name, ()), *(spec for spec in self.broad if name_globs.matches(name, [spec.name]))]


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Specs and globs of licences. An empty `include` or `licenses` restricts no record."""

    include: Specs
    exclude: Specs
    licenses: tuple[str, ...] = ()
    excluded_licenses: tuple[str, ...] = ()

    @staticmethod
    def of(
        include: Sequence[str],
        exclude: Sequence[str],
        licenses: Sequence[str] = (),
        excluded_licenses: Sequence[str] = (),
    ) -> "Filters":
        """Return the filters. Raise BadSpecError."""
        return _filters(tuple(include), tuple(exclude), tuple(licenses), tuple(excluded_licenses))

    def exact_names(self) -> list[str] | None:
        """Return the only names that can match, sorted, or None if there may be others."""
        names = {*self.include.names, *self.include.exact}
        is_open = not names or self.include.broad or name_globs.with_wildcards(self.include.names)
        return None if is_open else sorted(names)

    def reason(self, name: str, subdir: str, record: Record) -> str:
        """Return why the filters leave out a record, or an empty string."""
        include, exclude = _specs_of(self, name)
        lazy = _Lazy(subdir, record)
        if not lazy.matches(include):
            return NOT_INCLUDED
        if lazy.matches(exclude):
            return EXCLUDED
        if not self.licenses and not self.excluded_licenses:
            return ""
        text, family = _text(record.get("license")), _text(record.get("license_family"))
        is_long = text is None or family is None
        fault = NOT_INCLUDED_LICENSE if is_long else _reason_of_license(self, text or "", family or "")
        return fault and f"{fault}: {_stated(record)}."


@lru_cache(maxsize=16)
def _filters(include: tuple[str, ...], exclude: tuple[str, ...], *licenses: tuple[str, ...]) -> Filters:
    if max(len(include), len(exclude)) > SPECS_MAX:
        raise BadSpecError(f"Found more than {SPECS_MAX} specs; expected at most {SPECS_MAX}.")
    return Filters(Specs.of(include), Specs.of(exclude), *map(_globs, licenses))


@lru_cache(maxsize=1024)
def _reason_of_license(filters: Filters, text: str, family: str) -> str:
    """Compare the licence as a whole and each that it names. The family decides alone only if there is no licence."""
    parts = list(filter(None, map(str.strip, JOINTS.split(text))))
    if any(name_globs.matches(each, filters.excluded_licenses) for each in (text, family, *parts) if each):
        return EXCLUDED_LICENSE
    is_listed = name_globs.matches(text or family, filters.licenses) or (
        parts and all(name_globs.matches(part, filters.licenses) for part in parts)
    )
    return NOT_INCLUDED_LICENSE if filters.licenses and not is_listed else ""


def _globs(texts: Sequence[str]) -> tuple[str, ...]:
    if len(texts) > LICENSES_MAX:
        raise BadSpecError(f"Found {len(texts)} licences; expected at most {LICENSES_MAX}.")
    for text in texts:
        if not LICENSE.fullmatch(text) or len(text) > LICENSE_MAX_CHARACTERS:
            raise BadSpecError(
                f"Found the licence '{text[:LICENSE_MAX_CHARACTERS]}'; expected one like MIT or *GPL*, of at most "
                f"{LICENSE_MAX_CHARACTERS} ASCII characters."
            )
    return tuple(text.lower() for text in texts)


@lru_cache(maxsize=16)
def _specs_of(filters: Filters, name: str) -> tuple[list[Spec] | None, list[Spec] | None]:
    """Return the specs that decide about a name: records come by name."""
    return filters.include.of_name(name) if filters.include else None, filters.exclude.of_name(name)


def _stated(record: Record) -> str:
    """Return the licence that the record states, and its family, for a message."""
    license_, family = record.get("license"), record.get("license_family")
    stated = [quote(license_)] if license_ else []
    return " ".join([*stated, f"of the family {quote(family)}"] if family else stated) or "it states none"


def _text(value: object) -> str | None:
    """Return a licence in lower case with single blanks, or None if it is too long."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.lower().split()) if len(value) <= LICENSE_TEXT_MAX_CHARACTERS else None


@dataclass(slots=True)
class _Lazy:
    """A record for MatchSpecs, which is made if one of them asks for more than the name and the subdir."""

    subdir: str
    record: Record
    _made: PackageRecord | None = None

    def matches(self, specs: Sequence[Spec] | None) -> bool:
        """Tell whether one of the specs matches; None matches."""
        if specs is None:
            return True
        return any(
            spec.subdir in ("", self.subdir) and (spec.rest is None or spec.rest.matches(self._record()))
            for spec in specs
        )

    def _record(self) -> PackageRecord:
        if self._made is None:
            number = self.record.get("build_number")
            self._made = PackageRecord(
                ANY_NAME,
                self.record["version"],
                BuildString(self.record["build"]),
                number if type(number) is int and 0 <= number < INT64 else 0,
                self.subdir,
                sha256=_digest(self.record.get("sha256"), 64),
                md5=_digest(self.record.get("md5"), 32),
            )
        return self._made


def _digest(value: object, characters: int) -> bytes | None:
    if isinstance(value, str) and re.fullmatch(rf"[0-9A-Fa-f]{{{characters}}}", value):
        return bytes.fromhex(value)
    return None
