"""The documentation, docs/*.md, as pages. Commands in it have the address of this hub."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import strip_tags
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from channels_app.ui import markdown

FOLDER = Path(settings.BASE_DIR) / "docs"
# The address in the files that stands for this hub.
EXAMPLE_HOST = "hub.example.org"
GROUPS = (
    (
        "Using the hub",
        ("first-steps", "publishing", "private-channels", "ci", "trusted-publishing", "provenance", "s3", "api"),
    ),
    ("Who can do what", ("security-model",)),
    ("Running it", ("operating", "deployment", "storage", "backup", "monitoring", "scaling")),
    ("How it is built", ("architecture", "package-checks", "writing")),
)
ORDER = [name for _, names in GROUPS for name in names]
# Shorter titles for narrow lists.
LABELS = {"architecture": "Architecture", "package-checks": "Package checks"}
MAX_CHARACTERS = 200_000

FENCE = re.compile(r"^```(\w*)$", re.MULTILINE)
HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)
CODE_BLOCK = re.compile(r'<pre tabindex="0"><code>(.*?)</code></pre>', re.DOTALL)
LINK_TO_PAGE = re.compile(r'href="(?:docs/)?([a-z0-9-]+)\.md(#[\w-]*)?"')
# An option and its value are kept on one line.
OPTION = re.compile(r"(?<= )--?[a-zA-Z][a-z-]*(?: [^-\s&]\S*)?")
BLANK = re.compile(
    r"\b(KEY|CHANNEL|PACKAGE|FILE|USER|NAME|SUBDIR|BUCKET|ENDPOINT|REGION|LEAKED|FOLDER|ACCOUNT|SECRET)\b"
)


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page; `headings` are those of the second level, as (id, text)."""

    name: str
    title: str
    label: str
    lead: str
    html: SafeString
    headings: tuple[tuple[str, str], ...]


@require_safe
def page(request: HttpRequest, name: str = "") -> HttpResponse:
    """Show `/docs/<name>`, or the list of pages without a name."""
    if name and name not in ORDER:
        raise Http404
    groups = [(title, [read(each) for each in names]) for title, names in GROUPS]
    if not name:
        return render(request, "docs/index.html", {"groups": groups, "public_url": settings.HUB_PUBLIC_URL})
    place = ORDER.index(name)
    context = {
        "groups": groups,
        "doc": read(name),
        "previous": read(ORDER[place - 1]) if place else None,
        "next": read(ORDER[place + 1]) if place + 1 < len(ORDER) else None,
    }
    return render(request, "docs/page.html", context)


def read(name: str) -> Page:
    return _read(name, settings.HUB_PUBLIC_URL)


def source(name: str, public_url: str) -> str:
    """Return the Markdown of a page, with `public_url` in place of the example address."""
    origin = urlsplit(public_url)
    text = (FOLDER / f"{name}.md").read_text()
    for example, here in (
        (f"https://{EXAMPLE_HOST}", public_url),
        (f"prefix://{EXAMPLE_HOST}", f"prefix://{origin.netloc}"),
        (EXAMPLE_HOST, origin.hostname or ""),
        (id_token_variable(EXAMPLE_HOST), id_token_variable(origin.hostname or "")),
    ):
        text = text.replace(example, here)
    return text


def id_token_variable(audience: str) -> str:
    """Return the variable in which clients expect GitLab's identity token (astral-sh/ambient-id, src/gitlab.rs)."""
    return re.sub("[^A-Z0-9]", "_", audience.upper()) + "_ID_TOKEN"


@cache
def _read(name: str, public_url: str) -> Page:
    text = source(name, public_url)
    title, _, body = text.removeprefix("# ").partition("\n")
    lead = body.strip().partition("\n\n")[0]
    html: str = markdown.render(body, heading_shift=0, own_links=True, max_characters=MAX_CHARACTERS)
    html = LINK_TO_PAGE.sub(_link, html)
    headings: list[tuple[str, str]] = []
    html = HEADING.sub(partial(_anchor, headings), html)
    html = CODE_BLOCK.sub(partial(_code, iter(FENCE.findall(body)[::2])), html)
    # An empty corner cell is not a header.
    html = html.replace("<th></th>", "<td></td>")
    html = html.replace(
        "<table>", '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="table">'
    )
    html = html.replace("</table>", "</table></div>")
    lead = strip_tags(markdown.render(lead, own_links=True)).strip()
    # Safe: markdown.render sanitized it, and the insertions come from this module and its templates.
    return Page(name, title, LABELS.get(name, title), lead, mark_safe(html), tuple(headings))  # noqa: S308  # nosec B308, B703  # our own files


def _link(found: re.Match[str]) -> str:
    return f'href="{reverse("doc", args=[found[1]])}{found[2] or ""}"'


def _anchor(headings: list[tuple[str, str]], found: re.Match[str]) -> str:
    """Add an id and a link to a heading; append headings of the second level to `headings`."""
    level, html = found.groups()
    words = strip_tags(html)
    anchor = slugify(words)
    if level == "2":
        headings.append((anchor, words))
    return f'<h{level} id="{anchor}"><a href="#{anchor}">{html}</a></h{level}>'


def _code(languages: Iterator[str], found: re.Match[str]) -> str:
    """Render a block of code. In a shell block each command gets its own button to copy it.

    The Mermaid diagram, which code hosts render themselves, is a drawing of our own here.
    """
    language = next(languages)
    if language == "mermaid":
        return render_to_string("docs/architecture.svg")
    code, is_shell = found[1].rstrip("\n"), language == "sh"
    lines = [OPTION.sub(r"<span>\g<0></span>", line) for line in code.split("\n")] if is_shell else [code]
    blanks = [mark_safe(BLANK.sub(r"<var>\1</var>", line)) for line in lines]  # noqa: S308  # nosec B308, B703  # escaped by markdown.render
    return render_to_string("docs/code.html", {"lines": blanks, "is_shell": is_shell})
