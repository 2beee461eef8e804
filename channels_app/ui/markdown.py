"""Markdown → HTML that a page may show, whoever wrote it: no HTML of theirs, no pictures, links to the web alone."""

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

# Brackets and wide tables take the parser time that grows faster than the text: this much takes 0.3 s at worst, once.
MAX_CHARACTERS = 10_000
# References to one long address, and cells that a table is filled up with, make much of little. What grows beyond this
# is shown as it was written.
HTML_MAX_CHARACTERS = 64 * 1024
REFERENCES_MAX_CHARACTERS = 32 * 1024
# The parser fills up each row of a table to the width of its head: 65,000 cells of 10,000 characters took 0.9 s and
# 80 MiB. Where so many could come of it, tables stay text.
CELLS_MAX = 8192
REMEMBERED = 128
TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("em", "strong", "s", "a", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
SMALLEST_HEADING = 6


def render(
    text: str,
    *,
    heading_shift: int = 2,
    own_links: bool = False,
    max_characters: int = MAX_CHARACTERS,
) -> SafeString:
    """`text` as HTML, its headings `heading_shift` levels down, since the page has its own.

    Links lead outside, by http(s) alone, and vouch for nothing. `own_links` is for what the hub itself wrote: relative
    links stay, too. What is longer than `max_characters` is cut off.
    """
    return _rendered(text[:max_characters], heading_shift, own_links)


@lru_cache(maxsize=REMEMBERED)
def _rendered(text: str, heading_shift: int, own_links: bool) -> SafeString:
    parser = _parser if own_links or _cells(text) <= CELLS_MAX else _parser_without_tables
    html = parser.render(text, {"heading_shift": heading_shift})
    if len(html) > HTML_MAX_CHARACTERS and not own_links:
        html = f"<pre>{escape(text)}</pre>"
    return mark_safe(  # noqa: S308  # nosec B308, B703  # nh3 has made it safe
        nh3.clean(
            html,
            tags=TAGS,
            attributes=ATTRIBUTES,
            url_schemes={"http", "https"},
            url_relative="pass_through" if own_links else "deny",
            link_rel=None if own_links else "nofollow ugc noopener",
            # What scrolls is reached by the keyboard, too.
            set_tag_attribute_values={"pre": {"tabindex": "0"}},
        )
    )


def _cells(text: str) -> int:
    """How many cells the tables of a text have at most: each of its lines as wide as the widest."""
    lines = text.split("\n")
    return max(line.count("|") for line in lines) * len(lines)


def _bound_references(state: StateCore) -> None:
    """Forget the references where, each named as often as there are brackets, they would fill a book."""
    references = state.env.get("references", {})
    longest = max((len(each["href"]) + len(each["title"]) for each in references.values()), default=0)
    if longest * state.src.count("[") > REFERENCES_MAX_CHARACTERS:
        references.clear()


def _shift_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            level = int(token.tag[1:]) + state.env["heading_shift"]
            token.tag = f"h{min(level, SMALLEST_HEADING)}"


def _words_of_picture(
    self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    """A picture's text in its place: from elsewhere the browser would not load it, and here there are none."""
    return escape(tokens[index].content)


def _make_parser(*extensions: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", *extensions])
    parser.core.ruler.push("shift_headings", _shift_headings)
    parser.core.ruler.after("block", "bound_references", _bound_references)
    parser.add_render_rule("image", _words_of_picture)
    return parser


_parser = _make_parser("table")
_parser_without_tables = _make_parser()
