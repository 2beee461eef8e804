"""Filters of an import: MatchSpecs of the packages that it takes and leaves out, and subdirs. Without I/O."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from rattler import BuildString, MatchSpec, PackageRecord

from publishing import name_globs
from publishing.archive.identity import FileName
from publishing.archive.specs import NotAlikeError, check

SPECS_MAX = 500
SPEC_MAX_CHARACTERS = 200
NAME = re.compile(r"[A-Za-z0-9_.*?-]+")


class BadSpecError(ValueError):
    """The text is no MatchSpec of an import. The message quotes it and says what is expected."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A MatchSpec whose name may have `*` and `?`, such as `acme-* >=2`."""

    name: str
    rest: str

    @staticmethod
    def of(text: str) -> "Spec":
        """Return the spec. Raise BadSpecError."""
        found = NAME.match(text)
        if found is None or len(text) > SPEC_MAX_CHARACTERS:
            raise _bad(text, "it has no name at its beginning, or is too long")
        spec = Spec(found[0].lower(), text[found.end() :].strip())
        try:
            check(spec._text("name"))
        except NotAlikeError as error:
            raise _bad(text, str(error)) from None
        return spec

    @property
    def is_exact(self) -> bool:
        """Tell whether the spec can match packages of one name alone."""
        return not name_globs.with_wildcards([self.name])

    def for_name(self, name: str) -> MatchSpec | None:
        """Return the rest of the spec for one name; None if it matches each of its packages."""
        return MatchSpec(self._text(name)) if self.rest else None

    def _text(self, name: str) -> str:
        return f"{name}{self.rest}" if self.rest.startswith("[") else f"{name} {self.rest}".strip()


def _bad(text: str, reason: str) -> BadSpecError:
    return BadSpecError(
        f"Found the spec '{text[:SPEC_MAX_CHARACTERS]}'; expected one like 'numpy >=2' or 'acme-*': {reason}."
    )


@dataclass(slots=True)
class Filters:
    """The specs of an import. Empty lists restrict nothing."""

    include: Sequence[Spec] = ()
    exclude: Sequence[Spec] = ()
    subdirs: Sequence[str] = ()
    _of_names: dict[str, tuple[list[MatchSpec | None], list[MatchSpec | None]]] = field(default_factory=dict)

    @staticmethod
    def of(include: Sequence[str], exclude: Sequence[str], subdirs: Sequence[str]) -> "Filters":
        """Return the filters. Raise BadSpecError."""
        return Filters([Spec.of(text) for text in include], [Spec.of(text) for text in exclude], subdirs)

    def exact_names(self) -> list[str] | None:
        """Return the only names that can match, sorted, or None if there may be others."""
        if not self.include or not all(spec.is_exact for spec in self.include):
            return None
        return sorted({spec.name for spec in self.include})

    def keep(self, subdir: str, file: FileName, build_number: int) -> bool:
        """Tell whether the import takes the file."""
        include, exclude = self._specs(file.name)
        if not include and not exclude:
            return not self.include
        record = _Lazy(subdir, file, build_number)
        return (not self.include or record.matches(include)) and not record.matches(exclude)

    def _specs(self, name: str) -> tuple[list[MatchSpec | None], list[MatchSpec | None]]:
        """Return the specs that have this name. Those of the last name are remembered: records come by name."""
        if name not in self._of_names:
            self._of_names.clear()
            both = (self.include, self.exclude)
            first, second = (
                [spec.for_name(name) for spec in specs if name_globs.matches(name, [spec.name])] for specs in both
            )
            self._of_names[name] = first, second
        return self._of_names[name]


@dataclass(slots=True)
class _Lazy:
    """A record for MatchSpecs, which is made if one of them asks for more than the name."""

    subdir: str
    file: FileName
    build_number: int
    _record: PackageRecord | None = None

    def matches(self, specs: Sequence[MatchSpec | None]) -> bool:
        return any(spec is None or spec.matches(self._made()) for spec in specs)

    def _made(self) -> PackageRecord:
        if self._record is None:
            build = BuildString(self.file.build)
            self._record = PackageRecord(self.file.name, self.file.version, build, self.build_number, self.subdir)
        return self._record
