"""Name, version, build and subdir of a package (CEP 26, CEP 33), and its file name."""

import re
from dataclasses import dataclass

import rattler

from channels_app import identifiers
from publishing.archive import kinds
from publishing.archive.errors import BadPackage
from publishing.wording import quote

VERSION_MAX_CHARACTERS = 64
BUILD_MAX_CHARACTERS = 64
VERSION_NUMBER_MAX = 2**31 - 1

DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class FileName:
    """A parsed `{name}-{version}-{build}{extension}`; the extension is ".conda" or ".tar.bz2"."""

    name: str
    version: str
    build: str
    extension: str

    @property
    def stem(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    def __str__(self) -> str:
        return self.stem + self.extension


def parse_file_name(file_name: str) -> FileName:
    """Return the checked parts of `file_name`. Raise BadPackage if one of them is invalid."""
    if len(file_name) > identifiers.FILE_NAME_MAX_CHARACTERS:
        limit = identifiers.FILE_NAME_MAX_CHARACTERS
        raise BadPackage(f"the file name has {len(file_name)} characters; at most {limit} are allowed")
    extension = next((known for known in identifiers.EXTENSIONS if file_name.endswith(known)), None)
    if extension is None:
        fault = kinds.name_problem(file_name)
        raise BadPackage(
            f"the file name {quote(file_name)} ends in neither .conda nor .tar.bz2" + (fault and f"; {fault}")
        )
    if fault := kinds.name_problem(file_name):
        raise BadPackage(f"the file name {quote(file_name)} is not of the form name-version-build{extension}; {fault}")
    match file_name.removesuffix(extension).rsplit("-", 2):
        case [name, version, build]:
            parsed = FileName(name, version, build, extension)
        case _:
            raise BadPackage(f"the file name {quote(file_name)} is not of the form name-version-build{extension}")
    check_name(parsed.name)
    check_version(parsed.version)
    check_build(parsed.build)
    return parsed


def check_name(name: str) -> None:
    if len(name) > identifiers.NAME_MAX_CHARACTERS or not identifiers.PACKAGE_NAME.match(name):
        raise BadPackage(
            f"{quote(name)} is not a package name: expected at most {identifiers.NAME_MAX_CHARACTERS} of a-z, 0-9 and "
            "single '-', '_' or '.', beginning with a letter, a digit or '_' (CEP 26)"
        )


def check_version(version: str) -> None:
    if len(version) > VERSION_MAX_CHARACTERS or not identifiers.VERSION.match(version):
        raise BadPackage(
            f"{quote(version)} is not a version: expected at most {VERSION_MAX_CHARACTERS} of 0-9, a-z, "
            "A-Z, '.', '_', '+' and '!' (CEP 26)"
        )
    if any(int(digits) > VERSION_NUMBER_MAX for digits in DIGITS.findall(version)):
        raise BadPackage(f"the version {quote(version)} has a number above {VERSION_NUMBER_MAX} (CEP 33)")
    try:
        rattler.Version(version)
    except Exception as error:
        raise BadPackage(f"{quote(version)} is not a version of CEP 33: {error}") from error


def check_build(build: str) -> None:
    if len(build) > BUILD_MAX_CHARACTERS or not identifiers.BUILD.match(build) or build in {".", ".."}:
        raise BadPackage(
            f"{quote(build)} is not a build string: expected at most {BUILD_MAX_CHARACTERS} of a-z, A-Z, 0-9, "
            "'_', '.' and '+', and neither '.' nor '..' (CEP 26)"
        )


def check_subdir(subdir: str) -> None:
    if not identifiers.is_subdir(subdir):
        raise BadPackage(f"{quote(subdir)} is not a subdir: expected noarch, or the like of linux-64 (CEP 26)")
