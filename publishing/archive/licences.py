"""The texts of a package's licence files, up to the size that its page shows."""

from hub.sizes import KIB
from publishing.archive.tar import Member, MemberKind, TarReader

LICENCE_FOLDER = "info/licenses/"
# The single licence file of older versions of conda-build.
OLD_LICENCE_FILE = "info/LICENSE.txt"
FILES_KEPT = 50
# For all licence files of a package together: the size of two GPLs.
TEXT_MAX_BYTES = 64 * KIB


class Licences:
    """Licence files in the order of the archive. `texts` holds path and text of each, TEXT_MAX_BYTES in total."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self._left_bytes = TEXT_MAX_BYTES

    def take(self, path: str, member: Member, reader: TarReader) -> None:
        """Keep the text of the current member if it is a licence file."""
        is_licence = path.startswith(LICENCE_FOLDER) or path == OLD_LICENCE_FILE
        if member.kind is not MemberKind.FILE or not is_licence or len(self.texts) == FILES_KEPT:
            return
        data = b""
        while self._left_bytes and (more := reader.read(self._left_bytes)):
            data += more
            self._left_bytes -= len(more)
        self.texts.append((path, _text(data)))


def _text(data: bytes) -> str:
    """Return the text for a page: control characters except line ends and tabs are replaced.

    This also removes NUL, which JSON columns of PostgreSQL can't store.
    """
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\f", "\n")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
