"""The texts of a package's licence files, as much of them as its page shows."""

from publishing.archive.tar import Member, MemberKind, TarReader
from publishing.wording import KIB

LICENCE_FOLDER = "info/licenses/"
# conda-build's single file, before it had a folder for them.
OLD_LICENCE_FILE = "info/LICENSE.txt"
FILES_KEPT = 50
# Of all of a package's licence files together: two GPLs.
TEXT_MAX_BYTES = 64 * KIB


class Licences:
    """Licence files in the order of the archive; `texts` has each one's path and text, cut where the room ends."""

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
    """Characters that a page can show: no control characters but line ends and tabs, and no NUL, which JSON lacks."""
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\f", "\n")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
