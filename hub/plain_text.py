"""Text of others, made safe for a log line, a terminal and a page.

A newline would start a line of its own, an escape sequence would move the cursor, and a bidirectional mark would show
another name. Each such character is replaced by its number.
"""

import re

# Characters that Unicode calls printable, but that are blank or change how their neighbours look.
BLANK = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0\ufe00-\ufe0d\U0001d159\U000e0100-\U000e01ef"
)
CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# Category Cf of Unicode 16 without visible signs (U+0600 to U+0605, U+06DD, U+070F, U+08E2 and the like), Zl and Zp.
FORMATS = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
JOINERS = "\u200c\u200d"
SURROGATES = "\ud800-\udfff"
CONTROL_BYTES = bytes([*range(9), 11, 12, *range(14, 32), 127])
ALONE = f"{CONTROLS}{FORMATS}{BLANK}{SURROGATES}"
# Persian, Indic scripts and emoji need joiners between two of their characters.
OF_A_SCRIPT = rf"[^\x00-\x7f{ALONE}{JOINERS}]"
UNSEEN = re.compile(f"[{ALONE}]|[{JOINERS}](?!{OF_A_SCRIPT})|(?<!{OF_A_SCRIPT})[{JOINERS}]")
NOT_IN_A_LINE = re.compile(rf"[\t\n\r{ALONE}{JOINERS}]")


def visible(text: str) -> str:
    """Return `text` with invisible and bidirectional characters as `[U+202E]`. Newlines stay."""
    return UNSEEN.sub(_as_number, text)


def escaped(text: str) -> str:
    """Return `text` for a terminal: invisible characters as escapes, newlines kept."""
    return UNSEEN.sub(_as_escape, text)


def one_line(text: str) -> str:
    r"""Return `text` as one line for a log or a terminal, with escapes such as `\n`, `\x1b` and `\u202e`."""
    return NOT_IN_A_LINE.sub(_as_escape, text)


def lines(text: str) -> str:
    """Return a text of several lines, such as a traceback, escaped and indented: none looks like a log line."""
    return "\n".join(f"  {one_line(line)}" for line in text.split("\n"))


def _as_number(found: re.Match[str]) -> str:
    return f"[U+{ord(found[0]):04X}]"


def _as_escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode()
