"""The HTML of the hub's own Markdown, by render rules of markdown-it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

LINK_TO_PAGE = re.compile(r"(?:docs/)?([a-z0-9-]+)\.md(#[\w-]*)?")
# An option and its value are kept on one line.
OPTION = re.compile(r"(?<= )--?[a-zA-Z][a-z-]*(?: [^-\s&]\S*)?")
BLANK = re.compile(
    r"\b(KEY|CHANNEL|PACKAGE|FILE|USER|NAME|SUBDIR|BUCKET|ENDPOINT|REGION|LEAKED|FOLDER|ACCOUNT|SECRET|OTHER)\b"
)
TABLE_BEGIN = '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="table">\n'
TABLE_END = "</table></div>\n"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text as HTML; `lead` is its first paragraph, `headings` are those of the second level, as (id, text)."""

    html: SafeString
    lead: str
    headings: tuple[tuple[str, str], ...]


def render(text: str) -> Rendered:
    """Return the text as HTML. It is not sanitized: only for Markdown of the hub itself."""
    tokens = _parser.parse(text)
    html = _parser.renderer.render(tokens, _parser.options, {})
    headings = tuple(
        (str(token.attrs["id"]), _words(tokens[place + 1]))
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2"
    )
    lead = next((_words(token) for token in tokens if token.type == "inline"), "")
    return Rendered(mark_safe(html), lead, headings)  # noqa: S308  # nosec B308, B703  # our own files


def _words(inline: Token) -> str:
    """Return the text without its markup."""
    return "".join("\n" if each.type == "softbreak" else each.content for each in inline.children or [])


def _prepare_headings(state: StateCore) -> None:
    """Give each heading an id."""
    for place, token in enumerate(state.tokens):
        if token.type == "heading_open":
            token.attrSet("id", slugify(_words(state.tokens[place + 1])))


def _prepare_tables(state: StateCore) -> None:
    """Drop the alignment, a style that the policy blocks. An empty corner cell is not a header."""
    for place, token in enumerate(state.tokens):
        if token.type in ("th_open", "td_open"):
            token.attrs.pop("style", None)
            if not state.tokens[place + 1].content:
                token.tag = state.tokens[place + 2].tag = "td"


def _prepare_links(state: StateCore) -> None:
    """Replace links to files by links to pages."""
    for inline in state.tokens:
        for token in inline.children or []:
            if token.type == "link_open" and (found := LINK_TO_PAGE.fullmatch(str(token.attrs["href"]))):
                token.attrSet("href", reverse("doc", args=[found[1]]) + (found[2] or ""))


def _open_heading(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Render a heading that links to itself."""
    return self.renderToken(tokens, index, options, env) + f'<a href="#{tokens[index].attrs["id"]}">'


def _close_heading(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    return "</a>" + self.renderToken(tokens, index, options, env)


def _render_fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Render a block of code. In a shell block each command gets its own button to copy it.

    The Mermaid diagram, which code hosts render themselves, is a drawing of our own here.
    """
    if tokens[index].info == "mermaid":
        return render_to_string("docs/architecture.svg") + "\n"
    is_shell = tokens[index].info == "sh"
    code = escape(tokens[index].content.rstrip("\n"), quote=False)
    lines = [OPTION.sub(r"<span>\g<0></span>", line) for line in code.split("\n")] if is_shell else [code]
    blanks = [mark_safe(BLANK.sub(r"<var>\1</var>", line)) for line in lines]  # noqa: S308  # nosec B308, B703  # escaped
    return render_to_string("docs/code.html", {"lines": blanks, "is_shell": is_shell}) + "\n"


def _make_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}).enable(["strikethrough", "table"])
    for prepare in (_prepare_headings, _prepare_tables, _prepare_links):
        parser.core.ruler.push(prepare.__name__, prepare)
    rules: dict[str, Any] = {
        "heading_open": _open_heading,
        "heading_close": _close_heading,
        "fence": _render_fence,
        "table_open": lambda *_: TABLE_BEGIN,
        "table_close": lambda *_: TABLE_END,
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


_parser = _make_parser()
