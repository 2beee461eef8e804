"""Safe HTML from untrusted Markdown: no raw HTML, no images, links to the web only."""

from collections.abc import Sequence
from functools import lru_cache

import nh3
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# Brackets and wide tables take the parser superlinear time. This length takes 0.3 s at worst, and is then cached.
MAX_CHARACTERS = 10_000
# References to a long address and padded table cells expand a short text into long HTML. Text beyond this limit is
# shown as source.
HTML_MAX_CHARACTERS = 64 * 1024
REFERENCES_MAX_CHARACTERS = 32 * 1024
# The parser pads each row of a table to the width of its head: 10,000 characters with 65,000 cells took 0.9 s and
# 80 MiB. If a text could have more cells than this, its tables are not rendered.
CELLS_MAX = 8192
CACHED_TEXTS_MAX = 128
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
HEADING_SHIFT = 2
SMALLEST_HEADING = 6


def render(text: str) -> SafeString:
    """Return `text` as HTML; headings are moved down by two levels, to fit into the page.

    Links may use http(s) only, and are marked as nofollow and ugc. Text beyond MAX_CHARACTERS is cut off.
    """
    return _rendered(text[:MAX_CHARACTERS])


@lru_cache(maxsize=CACHED_TEXTS_MAX)
def _rendered(text: str) -> SafeString:
    parser = _parser if _cells(text) <= CELLS_MAX else _parser_without_tables
    html = parser.render(text)
    if len(html) > HTML_MAX_CHARACTERS:
        html = f"<pre>{escape(text)}</pre>"
    return mark_safe(  # noqa: S308  # nosec B308, B703  # nh3 has made it safe
        nh3.clean(
            html,
            tags=TAGS,
            attributes=ATTRIBUTES,
            url_schemes={"http", "https"},
            url_relative="deny",
            link_rel="nofollow ugc noopener",
            # Scrollable elements must be reachable by keyboard.
            set_tag_attribute_values={"pre": {"tabindex": "0"}},
        )
    )


def _cells(text: str) -> int:
    """Return an upper bound of the number of table cells: every line as wide as the widest one."""
    lines = text.split("\n")
    return max(line.count("|") for line in lines) * len(lines)


def _drop_long_references(state: StateCore) -> None:
    """Drop the references if their expansion, one for each bracket, could exceed the limit."""
    references = state.env.get("references", {})
    longest = max((len(each["href"]) + len(each["title"]) for each in references.values()), default=0)
    if longest * state.src.count("[") > REFERENCES_MAX_CHARACTERS:
        references.clear()


def _shift_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            level = int(token.tag[1:]) + HEADING_SHIFT
            token.tag = f"h{min(level, SMALLEST_HEADING)}"


def _render_image_text(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    """Render an image as its text. The CSP blocks images of other sites, and relative ones don't exist."""
    return escape(tokens[index].content)


def _make_parser(*extensions: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", *extensions])
    parser.core.ruler.push("shift_headings", _shift_headings)
    parser.core.ruler.after("block", "bound_references", _drop_long_references)
    parser.add_render_rule("image", _render_image_text)
    return parser


_parser = _make_parser("table")
_parser_without_tables = _make_parser()
