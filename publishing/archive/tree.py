"""The tree of an archive's members: each is checked when it is read, the whole against info/paths.json."""

from collections.abc import Iterator

from hub.sizes import MIB, human_size
from publishing.archive import listing, old_lists, paths, system_names, whole
from publishing.archive.compression import Part
from publishing.archive.contents import Contents
from publishing.archive.errors import BadPackage, over_limit
from publishing.archive.limits import Limits
from publishing.archive.nodes import NOTHING, Node, NodeSource, node
from publishing.archive.tar import Member, MemberKind, TarReader
from publishing.archive.texts import Texts, is_licence, is_recipe
from publishing.wording import quote

INFO_DIRECTORY = "info"
INDEX_JSON = "info/index.json"
ABOUT_JSON = "info/about.json"
LINK_JSON = "info/link.json"
RUN_EXPORTS_JSON = "info/run_exports.json"
PATHS_JSON = "info/paths.json"
# The first name of link.json, which conda still reads.
OLD_LINK_JSON = "info/package_metadata.json"

# The documents that are read, each with the field of Limits that bounds it.
DOCUMENT_LIMITS = {
    INDEX_JSON: "index_json_bytes",
    ABOUT_JSON: "about_json_bytes",
    LINK_JSON: "link_json_bytes",
    OLD_LINK_JSON: "link_json_bytes",
    RUN_EXPORTS_JSON: "run_exports_json_bytes",
    PATHS_JSON: "paths_json_bytes",
    old_lists.HAS_PREFIX: "has_prefix_bytes",
    old_lists.NO_LINK: "has_prefix_bytes",
    old_lists.NO_SOFTLINK: "has_prefix_bytes",
}

# A symlink with `..` after a name costs several searches. Real packages have a handful.
DETOURS_MAX = 10_000
FILES_KEPT = 5_000
# Characters of all paths together, since one database row holds them.
FILES_MAX_CHARACTERS = MIB // 8


class Tree:
    """The members read so far. Paths are kept as UTF-8, because half a million of them must fit into memory."""

    def __init__(self, limits: Limits) -> None:
        self.documents: dict[str, bytes] = {}
        self.file_modes: set[str] = set()
        self.files: list[tuple[str, int]] = []
        self._files_room = FILES_MAX_CHARACTERS
        self.file_count = 0
        self.has_paths_json = False
        self.licences = Texts(is_licence)
        self.recipe = Texts(is_recipe)
        self.warnings: list[str] = []
        self._nodes: dict[bytes, Node] = {}
        self._limits = limits
        self._paths_bytes = 0
        self._info_bytes = 0
        self._info_members = 0
        self._pkg_members = 0
        self._listed = 0
        self._detours: list[whole.Detour] = []
        self._contents = Contents()

    def read(self, part: Part, place: NodeSource) -> None:
        """Add every member of one tar."""
        reader = TarReader(part)
        for member in reader:
            path = paths.member_path(member.raw_name, self._limits)
            if path:
                self._check_place(path, member, place)
                self._count(path, member)
                target = self._check_link(path, member, place)
                key = self._add(path, member, place)
                self._note_file(path, member)
                if path.startswith(paths.INFO_PREFIX):
                    self._read_info(path, member, reader, place)
                self._contents.end(key, member, target, reader)
            elif member.kind is not MemberKind.DIRECTORY:
                raise BadPackage(f"the archive has {member.kind.value} as its root; expected a directory")

    def check_whole(self) -> None:
        """Run the checks that need all members."""
        whole.check(self._nodes, self._detours)
        if not self.has_paths_json:
            for entry in old_lists.entries(self.documents, self.kind_of):
                self._list(entry)
        whole.check_listing(self._nodes, self.listing_name)
        if self._contents.mismatch:
            raise BadPackage(f"{PATHS_JSON} {self._contents.mismatch}")

    @property
    def listing_name(self) -> str:
        return PATHS_JSON if self.has_paths_json else old_lists.FILES

    def holds(self, path: str) -> bool:
        return self.kind_of(path) is not None

    def contains_below(self, directory: str) -> bool:
        """Tell whether a path lies below `directory`, which ends with a slash."""
        prefix = directory.encode()
        return any(path.startswith(prefix) for path in self._nodes)

    def kind_of(self, path: str) -> MemberKind | None:
        return self._node(path).kind

    def have_same_bytes(self, path: str, other: str) -> bool:
        """Tell whether both paths are files of the same content, as far as it is known."""
        return self._contents.are_same(path.encode(), other.encode())

    def members(self) -> Iterator[tuple[str, Node]]:
        """Return each path of the archive and of its lists, with its node."""
        return ((path.decode(), found) for path, found in self._nodes.items())

    def _check_place(self, path: str, member: Member, place: NodeSource) -> None:
        top, slash, _ = path.partition("/")
        if system_names.case_folded(top) == INFO_DIRECTORY != top:
            raise BadPackage(f"the member {quote(path)} lies in info/ where Windows or macOS unpacks it; rename it")
        is_info = top == INFO_DIRECTORY
        if place is NodeSource.INFO and not is_info:
            raise BadPackage(f"the info archive holds {quote(path)}; expected members under info/ alone (CEP 35)")
        if is_info and place is NodeSource.PKG:
            paths.check_info_name_in_pkg(path)
        elif is_info:
            paths.check_info_name(path)
        if is_info and not slash and member.kind is not MemberKind.DIRECTORY:
            raise BadPackage(f"the member 'info' is {member.kind.value}; expected a directory")
        if member.raw_name.endswith((b"/", b"/.")) and member.kind is not MemberKind.DIRECTORY:
            raise BadPackage(f"the member {quote(path)} is {member.kind.value} with a slash at the end of its name")

    def _count(self, path: str, member: Member) -> None:
        limits = self._limits
        if path.startswith(paths.INFO_PREFIX):
            self._info_members += 1
            self._info_bytes += member.size_bytes
        else:
            self._pkg_members += 1
        if self._info_members > limits.info_members:
            raise over_limit(
                f"the archive has more than the {limits.info_members} members allowed under info/", "info_members"
            )
        if self._pkg_members > limits.pkg_members:
            raise over_limit(
                f"the archive has more than the {limits.pkg_members} members allowed outside info/", "pkg_members"
            )
        if self._info_bytes > limits.info_bytes:
            raise over_limit(
                f"the archive has more than the {human_size(limits.info_bytes)} allowed under info/", "info_bytes"
            )

    def _check_link(self, path: str, member: Member, place: NodeSource) -> str:
        """Return the earlier file to which a hardlink points; '' for other members."""
        if member.kind is MemberKind.SYMLINK:
            detours = paths.symlink_detours(path, member.raw_target, self._limits)
            self._detours += [(path, directory) for directory in sorted(detours)]
            if len(self._detours) > DETOURS_MAX:
                raise BadPackage(f"the archive has more than {DETOURS_MAX} symlinks with '..' after a name")
        elif member.kind is MemberKind.HARDLINK:
            target = paths.member_path(member.raw_target, self._limits)
            found = self._node(target)
            if found.kind not in (MemberKind.FILE, MemberKind.HARDLINK) or found.place is not place:
                raise BadPackage(
                    f"the hardlink {quote(path)} points to {quote(target)}, which is no earlier file of {place.value}"
                )
            if member.mode != found.mode:
                raise BadPackage(
                    f"the hardlink {quote(path)} has the mode {member.mode:04o}, and {quote(target)} {found.mode:04o}, "
                    "but both are one file"
                )
            return target
        return ""

    def _add(self, path: str, member: Member, place: NodeSource) -> bytes:
        before = self._node(path)
        if before.kind is member.kind is MemberKind.DIRECTORY:
            return b""
        if before.place not in (None, place):
            raise BadPackage(f"the info archive and the pkg archive both hold {quote(path)}; expected it in one")
        if before.kind is not None:
            raise BadPackage(f"the archive has two members {quote(path)}; expected one")
        return self._set(path, node(member.kind, before.listed, place, member.mode))

    def _note_file(self, path: str, member: Member) -> None:
        if member.kind is not MemberKind.DIRECTORY and not path.startswith(paths.INFO_PREFIX):
            self.file_count += 1
            if len(self.files) < FILES_KEPT and self._files_room > 0:
                self._files_room -= len(path)
                self.files.append((path, member.size_bytes))

    def _list(self, entry: listing.ListedPath) -> bytes:
        limits = self._limits
        self._listed += 1
        if self._listed > limits.pkg_members + limits.info_members:
            raise over_limit(f"{self.listing_name} lists more paths than the members allowed", "pkg_members")
        before = self._node(entry.path)
        if before.listed is not None:
            raise BadPackage(f"{self.listing_name} lists {quote(entry.path)} twice")
        return self._set(entry.path, node(before.kind, entry.path_type, before.place, before.mode))

    def _node(self, path: str) -> Node:
        return self._nodes.get(path.encode(), NOTHING)

    def _set(self, path: str, new: Node) -> bytes:
        """Store the node, and return the key.

        Other tables share this key: copies of half a million keys would take 40 MB.
        """
        key = path.encode()
        if key not in self._nodes:
            self._paths_bytes += len(key)
            if self._paths_bytes > self._limits.all_paths_bytes:
                raise over_limit(
                    f"the paths of all members take more than the {human_size(self._limits.all_paths_bytes)} allowed",
                    "all_paths_bytes",
                )
        self._nodes[key] = new
        return key

    def _read_info(self, path: str, member: Member, reader: TarReader, place: NodeSource) -> None:
        self._read_document(path, member, reader)
        if path == old_lists.FILES and place is NodeSource.WHOLE and member.size_bytes <= old_lists.FILES_MAX_BYTES:
            self.documents[path] = b"".join(iter(lambda: reader.read(MIB), b""))
        self.licences.take(path, member, reader)
        self.recipe.take(path, member, reader)

    def _read_document(self, path: str, member: Member, reader: TarReader) -> None:
        """Keep the documents that `publishing.archive.reader` parses, and read the entries of info/paths.json."""
        field = DOCUMENT_LIMITS.get(path)
        if field is None:
            return
        if member.kind is not MemberKind.FILE:
            raise BadPackage(f"{path} is {member.kind.value}; expected a file")
        max_bytes: int = getattr(self._limits, field)
        if member.size_bytes > max_bytes:
            raise over_limit(
                f"{path} has {member.size_bytes:,} bytes; at most {human_size(max_bytes)} are allowed", field
            )
        if path == PATHS_JSON:
            self._read_listing(reader)
        else:
            self.documents[path] = b"".join(iter(lambda: reader.read(max_bytes), b""))

    def _read_listing(self, reader: TarReader) -> None:
        self.has_paths_json = True
        for entry in listing.entries(reader.read, PATHS_JSON, self._limits):
            self._contents.state(self._list(entry), entry)
            if entry.file_mode:
                self.file_modes.add(entry.file_mode)
