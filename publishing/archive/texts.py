"""The texts of a package's licence files and of its recipe, up to the size that its page shows."""

from collections.abc import Callable

from hub.sizes import KIB
from publishing.archive.tar import Member, MemberKind, TarReader

LICENCE_FOLDER = "info/licenses/"
# The single licence file of older versions of conda-build.
OLD_LICENCE_FILE = "info/LICENSE.txt"
RECIPE_FOLDER = "info/recipe/"
# A recipe may also hold patches and test data of any size.
RECIPE_ENDINGS = (".yaml", ".yml", ".template", ".sh", ".bat")
FILES_KEPT = 50
# For all files of a kind together: the size of two GPLs.
TEXT_MAX_BYTES = 64 * KIB


def is_licence(path: str) -> bool:
    return path.startswith(LICENCE_FOLDER) or path == OLD_LICENCE_FILE


def is_recipe(path: str) -> bool:
    return path.startswith(RECIPE_FOLDER) and path.endswith(RECIPE_ENDINGS)


class Texts:
    """Text files of a kind, in the order of the archive. `found` holds path and text, TEXT_MAX_BYTES in total."""

    def __init__(self, belongs: Callable[[str], bool]) -> None:
        self.found: list[tuple[str, str]] = []
        self._belongs = belongs
        self._left_bytes = TEXT_MAX_BYTES

    def take(self, path: str, member: Member, reader: TarReader) -> None:
        """Keep the text of the current member if it is of this kind."""
        if member.kind is not MemberKind.FILE or not self._belongs(path) or len(self.found) == FILES_KEPT:
            return
        data = b""
        while self._left_bytes and (more := reader.read(self._left_bytes)):
            data += more
            self._left_bytes -= len(more)
        self.found.append((path, _text(data)))


def _text(data: bytes) -> str:
    """Return the text for a page: control characters except line ends and tabs are replaced.

    This also removes NUL, which JSON columns of PostgreSQL can't store.
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\f", "\n")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
