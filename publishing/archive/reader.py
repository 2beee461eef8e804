"""The reader of an uploaded archive: returns PackageInfo, or raises BadPackage. docs/package-checks.md has the rules.

No file is extracted: the archive is read once, front to back, within `Limits`. The other modules of
`publishing.archive` hold the checks of the ZIP, the compression, the tar, the tree and the documents.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from channels_app import identifiers
from hub.sizes import MIB, human_size
from publishing.archive import (
    compression,
    conda_zip,
    documents,
    index_json,
    json_documents,
    kinds,
    noarch_python,
    oddities,
    old_lists,
)
from publishing.archive.compression import Part
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.identity import FileName, parse_file_name
from publishing.archive.limits import Budget, Limits
from publishing.archive.nodes import NodeSource
from publishing.archive.specs import SpecReader
from publishing.archive.tree import (
    ABOUT_JSON,
    INDEX_JSON,
    PATHS_JSON,
    RUN_EXPORTS_JSON,
    Tree,
)
from publishing.wording import quote

__all__ = ["BadPackage", "FileName", "Limits", "PackageInfo", "parse_file_name", "read"]

METADATA_JSON = "metadata.json"
CONDA_FORMAT_VERSION = 2

PART = re.compile(r"(?:info|pkg)-(.+)\.tar\.zst\Z")

READ_BYTES = MIB
RUST_PANIC = "PanicException"
DESCRIPTOR_WARNING = (
    "the ZIP has data descriptors, as libarchive writes them: rattler reads such a file from this hub, "
    "but not from a folder (file://)"
)


@dataclass(frozen=True, slots=True)
class PackageInfo:
    """The facts of a package that passed every check.

    `index` and `about` hold every key of info/index.json (with the subdir that an old .tar.bz2 lacks) and of
    info/about.json. `run_exports` has CEP 12's form. `revision` is 1, or 3 if the record needs repodata's v3.
    `features` are the facts of CEP 38 that hold. `warnings` are sentences for people.

    `files` are paths and sizes of the first thousands of files outside info/; `file_count` counts all of them.
    `licences` and `recipe` are text files with their texts.
    """

    file_name: str
    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    extension: str
    index: dict[str, Any]
    revision: int
    about: dict[str, Any]
    run_exports: dict[str, Any]
    features: tuple[str, ...]
    warnings: tuple[str, ...]
    files: tuple[tuple[str, int], ...]
    file_count: int
    licences: tuple[tuple[str, str], ...]
    recipe: tuple[tuple[str, str], ...]


def read(path: Path, file_name: str, limits: Limits = Limits()) -> PackageInfo:  # noqa: B008 (immutable)
    """Return the facts of the archive at `path`. Raise only BadPackage, or OSError for a failing disk of the hub.

    This takes as long as decompressing: up to `limits.info_seconds` and `limits.pkg_seconds`.
    """
    with _only_bad_package(), path.open("rb", buffering=READ_BYTES) as file:
        file_bytes = path.stat().st_size
        parsed = _parsed_name(file, file_bytes, file_name)
        _check_size(file_bytes, limits)
        kinds.check(file, file_bytes, parsed.extension)
        tree = Tree(limits)
        read_archive = _read_conda if parsed.extension == ".conda" else _read_tar_bz2
        found = read_archive(file, file_bytes, parsed, tree, limits)
        tree.check_whole()
        if found.index.get("noarch") == "python":
            noarch_python.check(tree)
        return _package_info(parsed, found, tree)


@dataclass(frozen=True, slots=True)
class _Documents:
    """The checked documents of a package, each read within the time limit of the archive that holds it."""

    index: dict[str, Any]
    revision: int
    about: dict[str, Any]
    run_exports: dict[str, list[str]]
    warnings: tuple[str, ...]


@contextmanager
def _only_bad_package() -> Iterator[None]:
    """Raise unforeseen errors as BadPackage, so that hostile bytes never cause a 500. The cause stays attached.

    A panic of Rust code arrives as a BaseException of a class that can't be imported.
    """
    try:
        yield
    except (BadPackage, OSError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != RUST_PANIC:
            raise
        raise BadPackage(f"the archive cannot be read: {type(error).__name__}: {error}") from error


def _parsed_name(file: BinaryIO, file_bytes: int, file_name: str) -> FileName:
    """Return the parts of the file's name.

    The error for an invalid name also says what the file is if it is no package, or its original name.
    """
    try:
        return parse_file_name(file_name)
    except BadPackage as error:
        extension = next((known for known in identifiers.EXTENSIONS if file_name.endswith(known)), ".conda")
        try:
            kinds.check(file, file_bytes, extension)
        except BadPackage as other:
            raise BadPackage(f"{other.reason}. Besides, {error.reason}") from error
        if extension == ".conda" and not kinds.name_problem(file_name) and (inner := _name_inside(file, file_bytes)):
            raise BadPackage(f"{error.reason}; the file was renamed: rename it to {quote(str(inner))}") from error
        raise


def _name_inside(file: BinaryIO, file_bytes: int) -> FileName | None:
    """Return the file name that the entries of a `.conda` file state, or None if the file is no such ZIP."""
    try:
        return _name_of_entries(conda_zip.entries(file, file_bytes))
    except BadPackage:
        return None


def _name_of_entries(entries: Iterable[str]) -> FileName | None:
    stems = {match[1] for name in entries if (match := PART.match(name))}
    if set(entries) != {METADATA_JSON, *(f"{kind}-{stem}.tar.zst" for stem in stems for kind in ("info", "pkg"))}:
        return None
    try:
        return parse_file_name(f"{stems.pop()}.conda")
    except BadPackage:
        return None


def _check_size(file_bytes: int, limits: Limits) -> None:
    if file_bytes > limits.compressed_bytes:
        raise BadPackage(
            f"the file has {file_bytes:,} bytes; at most {human_size(limits.compressed_bytes)} are allowed; "
            "an owner can raise the channel's limit, and an administrator HUB_MAX_UPLOAD_BYTES"
        )


def _read_conda(file: BinaryIO, file_bytes: int, file_name: FileName, tree: Tree, limits: Limits) -> _Documents:
    """Return the documents of a `.conda` file (CEP 35), checked before the pkg archive is read. Fill `tree`."""
    entries = conda_zip.entries(file, file_bytes)
    info_name, pkg_name = f"info-{file_name.stem}.tar.zst", f"pkg-{file_name.stem}.tar.zst"
    expected = {METADATA_JSON, info_name, pkg_name}
    if entries.keys() != expected:
        if inner := _name_of_entries(entries):
            raise BadPackage(f"the file was renamed: it holds {quote(inner.stem)}; rename it to {quote(str(inner))}")
        raise BadPackage(f"the ZIP has the entries {_listed(entries)}; expected {_listed(expected)} for this file name")
    if any(entry.has_descriptor for entry in entries.values()):
        tree.warnings.append(DESCRIPTOR_WARNING)
    _check_metadata(file, entries[METADATA_JSON], limits)
    info_entry, pkg_entry = entries[info_name], entries[pkg_name]
    info = _zstd_part(file, info_entry, Budget.for_info("the info archive", info_entry.size_bytes, limits), limits)
    tree.read(info, NodeSource.INFO)
    found = _read_documents(tree.documents, file_name, limits, info.budget)
    if not tree.has_paths_json:
        raise BadPackage(
            f"the archive has no {PATHS_JSON}, which a .conda file must have (CEP 34): upload the .tar.bz2 file that "
            "it was made from, or build the package again"
        )
    pkg = _zstd_part(file, pkg_entry, Budget.for_pkg("the pkg archive", pkg_entry.size_bytes, limits), limits)
    tree.read(pkg, NodeSource.PKG)
    return found


def _check_metadata(file: BinaryIO, entry: conda_zip.ZipEntry, limits: Limits) -> None:
    if entry.size_bytes > limits.metadata_json_bytes:
        raise over_limit(
            f"{METADATA_JSON} has {entry.size_bytes:,} bytes; "
            f"at most {human_size(limits.metadata_json_bytes)} are allowed",
            "metadata_json_bytes",
        )
    data = conda_zip.EntryReader(file, entry).read(entry.size_bytes)
    metadata = json_documents.document_object(data, METADATA_JSON, limits, "metadata_json_bytes")
    version = metadata.get("conda_pkg_format_version")
    if type(version) is not int or version != CONDA_FORMAT_VERSION:
        raise BadPackage(f"{METADATA_JSON} has the conda_pkg_format_version {quote(version)}; expected 2 (CEP 35)")


def _zstd_part(file: BinaryIO, entry: conda_zip.ZipEntry, budget: Budget, limits: Limits) -> Part:
    source = conda_zip.EntryReader(file, entry)
    chunks = compression.zstd_chunks(source, budget, limits.window_bytes, may_skip=not entry.has_descriptor)
    return Part(chunks, budget)


def _read_tar_bz2(file: BinaryIO, file_bytes: int, file_name: FileName, tree: Tree, limits: Limits) -> _Documents:
    """Return the documents of a `.tar.bz2` file, a single tar with its members in any order. Fill `tree`."""
    budget = Budget.for_pkg("the archive", file_bytes, limits)
    tree.read(Part(compression.bz2_chunks(file, budget), budget), NodeSource.WHOLE)
    return _read_documents(tree.documents, file_name, limits, budget)


def _read_documents(found: Mapping[str, bytes], file_name: FileName, limits: Limits, budget: Budget) -> _Documents:
    """Return the checked documents among those in `found`. Checking the specs spends the time of `budget`."""
    specs = SpecReader(budget)
    index = index_json.parse(found.get(INDEX_JSON), file_name, limits, specs)
    documents.check_link(found, index.get("noarch"), limits)
    about, about_warning = documents.about(found.get(ABOUT_JSON), limits)
    run_exports = documents.run_exports(found.get(RUN_EXPORTS_JSON), limits)
    warnings = (*filter(None, [about_warning]), *documents.run_export_warnings(run_exports, specs))
    return _Documents(index, index_json.revision(index, specs), about, run_exports, warnings)


def _package_info(file_name: FileName, found: _Documents, tree: Tree) -> PackageInfo:
    index = found.index
    return PackageInfo(
        file_name=str(file_name),
        name=file_name.name,
        version=file_name.version,
        build=file_name.build,
        build_number=index["build_number"],
        subdir=index["subdir"],
        extension=file_name.extension,
        index=index,
        revision=found.revision,
        about=found.about,
        run_exports=found.run_exports,
        features=tuple(_features(file_name.name, tree)),
        files=tuple(tree.files),
        file_count=tree.file_count,
        licences=tuple(tree.licences.found),
        recipe=tuple(tree.recipe.found),
        warnings=(*found.warnings, *_warnings(file_name, index, tree)),
    )


def _warnings(file_name: FileName, index: dict[str, Any], tree: Tree) -> Iterator[str]:
    yield from oddities.warnings(tree, index["subdir"])
    yield from tree.warnings
    if file_name.version != file_name.version.lower():
        yield f"the version {quote(file_name.version)} has capital letters, which clients compare as small ones"


def _features(name: str, tree: Tree) -> Iterator[str]:
    """Yield the facts of CEP 38 that hold for this package."""
    for directory in ("activate.d", "deactivate.d"):
        if tree.contains_below(f"etc/conda/{directory}/"):
            yield directory
    modes = tree.file_modes or documents.prefix_modes(tree.documents.get(old_lists.HAS_PREFIX))
    for mode in ("binary", "text"):
        if mode in modes:
            yield f"{mode}_prefix"
    for action in ("post-link", "pre-link", "pre-unlink"):
        if tree.holds(f"bin/.{name}-{action}.sh") or tree.holds(f"Scripts/.{name}-{action}.bat"):
            yield action.replace("-", "_")


def _listed(entry_names: Iterable[str]) -> str:
    return ", ".join(quote(name) for name in sorted(entry_names))
