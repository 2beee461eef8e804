"""Safe HTML from untrusted Markdown: harmless HTML stays, images become links, links lead to the web only."""

import re
from collections.abc import Sequence
from functools import lru_cache
from html.parser import HTMLParser

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
    *("details", "summary", "div", "sub", "sup", "kbd", "samp", "var", "dl", "dt", "dd", "b", "i", "u", "del", "ins"),
}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
# HTML tags that only change the look: they are removed. Other tags that are not in TAGS are shown as text.
DROPPED_TAGS = {"span", "center", "font", "picture", "source"}
HTML_TAG = re.compile(r"<!--.*?-->|<(/?)([A-Za-z][A-Za-z0-9]*)\b([^<>]*)>", re.DOTALL)
HEADING = re.compile(r"h[1-6]\Z")
TASKS = {"[ ] ": "\u2610 ", "[x] ": "\u2611 ", "[X] ": "\u2611 "}
HEADING_SHIFT = 2
SMALLEST_HEADING = 6


def render(text: str) -> SafeString:
    """Return `text` as HTML; headings are moved down by two levels, to fit into the page.

    Links may use http(s) only, and are marked as nofollow and ugc. Text beyond MAX_CHARACTERS is cut off. Of HTML in
    the text, the tags in TAGS stay.
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
            set_tag_attribute_values={"pre": {"tabindex": "0"}, "table": {"tabindex": "0"}},
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
            token.tag = _shifted(token.tag)


def _shifted(heading: str) -> str:
    return f"h{min(int(heading[1:]) + HEADING_SHIFT, SMALLEST_HEADING)}"


def _align_cells(state: StateCore) -> None:
    """Align the cells of a table by an attribute, since the policy of the pages forbids styles."""
    for token in state.tokens:
        if token.type in ("th_open", "td_open") and (style := token.attrs.pop("style", None)):
            token.attrs["align"] = str(style).rpartition(":")[2]


def _mark_tasks(state: StateCore) -> None:
    """Show the boxes of task lists: `- [x] done`."""
    for item, paragraph, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        kinds = (item.type, paragraph.type, inline.type)
        if kinds == ("list_item_open", "paragraph_open", "inline") and inline.content[:4] in TASKS:
            first = (inline.children or [])[0]
            first.content = TASKS[inline.content[:4]] + first.content[4:]


def _mark_linked_images(state: StateCore) -> None:
    """Mark images within links: a link can't hold another."""
    for inline in state.tokens:
        depth = 0
        for token in inline.children or ():
            opens = token.type == "link_open" or (
                token.type == "html_inline" and token.content.lower().startswith("<a ")
            )
            closes = token.type == "link_close" or token.content.lower().startswith("</a>")
            depth += opens - closes
            token.meta["is_linked"] = depth > 0


def _render_image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    image = tokens[index]
    return _image(str(image.attrs.get("src", "")), image.content, is_linked=image.meta.get("is_linked", False))


def _image(address: str, text: str, *, is_linked: bool) -> str:
    """Return an image as a link with its text. The CSP blocks images of other sites, and relative ones don't exist."""
    shown = escape(text.strip() or "Image")
    is_web = address.startswith(("https://", "http://"))
    return f'<a href="{escape(address)}">{shown}</a>' if is_web and not is_linked else shown


def _render_html(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Render HTML with its known tags. nh3 decides afterwards which of them stay."""
    token = tokens[index]
    links = int(token.meta.get("is_linked", False))

    def rendered(tag: re.Match[str]) -> str:
        nonlocal links
        name = (tag[2] or "").lower()
        if name == "a":
            links += -1 if tag[1] else 1
        if name == "img":
            attributes = _attributes(tag[0])
            return _image(attributes.get("src", ""), attributes.get("alt", ""), is_linked=links > 0)
        if HEADING.match(name):
            return f"<{tag[1]}{_shifted(name)}>"
        if not name or name in DROPPED_TAGS:
            return ""
        return tag[0] if name in TAGS else escape(tag[0])

    return HTML_TAG.sub(rendered, token.content)


class _TagReader(HTMLParser):
    """A reader of the attributes of one tag."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found = {name: value for name, value in attrs if value}


def _attributes(tag: str) -> dict[str, str]:
    reader = _TagReader()
    reader.feed(tag)
    return reader.found


def _make_parser(*extensions: str) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough", *extensions])
    for rule in (_shift_headings, _align_cells, _mark_tasks, _mark_linked_images):
        parser.core.ruler.push(rule.__name__, rule)
    parser.core.ruler.after("block", "bound_references", _drop_long_references)
    parser.add_render_rule("image", _render_image)
    parser.add_render_rule("html_inline", _render_html)
    parser.add_render_rule("html_block", _render_html)
    return parser


_parser = _make_parser("table")
_parser_without_tables = _make_parser()
