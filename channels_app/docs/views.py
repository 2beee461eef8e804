"""The documentation, docs/*.md, as pages, every command of it with this hub's own address."""

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
# What the files say in place of this hub's address.
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
# Where a list has less room than the title takes.
LABELS = {"architecture": "Architecture", "package-checks": "Package checks"}
MAX_CHARACTERS = 200_000

FENCE = re.compile(r"^```(\w*)$", re.MULTILINE)
HEADING = re.compile(r"<h([23])>(.*?)</h\1>", re.DOTALL)
CODE_BLOCK = re.compile(r'<pre tabindex="0"><code>(.*?)</code></pre>', re.DOTALL)
LINK_TO_PAGE = re.compile(r'href="(?:docs/)?([a-z0-9-]+)\.md(#[\w-]*)?"')
# An option stays with its value where a line is broken.
OPTION = re.compile(r"(?<= )--?[a-zA-Z][a-z-]*(?: [^-\s&]\S*)?")
BLANK = re.compile(
    r"\b(KEY|CHANNEL|PACKAGE|FILE|USER|NAME|SUBDIR|BUCKET|ENDPOINT|REGION|LEAKED|FOLDER|ACCOUNT|SECRET)\b"
)


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page; `headings` are the second level's, as (id, text)."""

    name: str
    title: str
    label: str
    lead: str
    html: SafeString
    headings: tuple[tuple[str, str], ...]


@require_safe
def page(request: HttpRequest, name: str = "") -> HttpResponse:
    """`/docs/<name>`, or without a name what there is to read."""
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
    """The Markdown of a page, with `public_url` for the example's address."""
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
    """The variable in which clients look for GitLab's identity token: astral-sh/ambient-id, src/gitlab.rs."""
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
    # An empty corner heads nothing.
    html = html.replace("<th></th>", "<td></td>")
    html = html.replace(
        "<table>", '<div class="scroll" tabindex="0" role="group" aria-label="Table"><table class="table">'
    )
    html = html.replace("</table>", "</table></div>")
    lead = strip_tags(markdown.render(lead, own_links=True)).strip()
    # Safe since markdown.render has made it so, and what is put in is of this file and its templates.
    return Page(name, title, LABELS.get(name, title), lead, mark_safe(html), tuple(headings))  # noqa: S308  # nosec B308, B703  # our own files


def _link(found: re.Match[str]) -> str:
    return f'href="{reverse("doc", args=[found[1]])}{found[2] or ""}"'


def _anchor(headings: list[tuple[str, str]], found: re.Match[str]) -> str:
    """A heading with an id of its own and a link to itself; those of the second level are noted."""
    level, html = found.groups()
    words = strip_tags(html)
    anchor = slugify(words)
    if level == "2":
        headings.append((anchor, words))
    return f'<h{level} id="{anchor}"><a href="#{anchor}">{html}</a></h{level}>'


def _code(languages: Iterator[str], found: re.Match[str]) -> str:
    """A block of code as the pages show it: of a shell each command by itself, with a button that copies."""
    code = found[1].rstrip("\n")
    is_shell = next(languages) == "sh"
    lines = [OPTION.sub(r"<span>\g<0></span>", line) for line in code.split("\n")] if is_shell else [code]
    blanks = [mark_safe(BLANK.sub(r"<var>\1</var>", line)) for line in lines]  # noqa: S308  # nosec B308, B703  # escaped by markdown.render
    return render_to_string("docs/code.html", {"lines": blanks, "is_shell": is_shell})
