"""The documentation, docs/*.md, as pages. Commands in it have the address of this hub."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from channels_app.docs import rendering

FOLDER = Path(settings.BASE_DIR) / "docs"
# The address in the files that stands for this hub.
EXAMPLE_HOST = "hub.example.org"
GROUPS = (
    (
        "Using the hub",
        (
            "first-steps",
            "publishing",
            "private-channels",
            "ci",
            "trusted-publishing",
            "provenance",
            "webhooks",
            "notices",
            "patches",
            "relations",
            "virtual-channels",
            "upstreams",
            "promotions",
            "imports",
            "labels",
            "retention",
            "s3",
            "api",
        ),
    ),
    ("Who can do what", ("security-model",)),
    ("Running it", ("operating", "deployment", "storage", "backup", "monitoring", "scaling")),
    ("How it is built", ("architecture", "package-checks", "writing")),
)
ORDER = [name for _, names in GROUPS for name in names]
# Shorter titles for narrow lists.
LABELS = {"architecture": "Architecture", "package-checks": "Package checks"}


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
    rendered = rendering.render(body)
    return Page(name, title, LABELS.get(name, title), rendered.lead, rendered.html, rendered.headings)
