"""Template tags for sizes, links and platforms of packages."""

import re
from collections.abc import Sequence

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from channels_app.packages.metadata import Link
from hub.sizes import human_size

register = template.Library()

# Parts of a name with the separators behind them, after which a line may end; and names that stay whole.
PARTS = re.compile(r"[^-_.+!]{1,20}[-_.+!]*|[-_.+!]+")
WHOLE_MAX_CHARACTERS = 12
WORD_BREAK = mark_safe("<wbr>")  # nosec B308, B703
# Nearly all packages have fewer. A page lists 50 packages, and thousands of subdirs each would fill megabytes.
SUBDIRS_OF_A_CHIP = 12
SYSTEMS_OF_A_LINE = 4


register.filter("human_size", human_size)


@register.filter
def size(size_bytes: int) -> SafeString:
    """Return `12.3 MiB`, with the exact bytes as a title."""
    return format_html('<span title="{} bytes">{}</span>', intcomma(size_bytes), human_size(size_bytes))


@register.filter
def size_difference(more_bytes: int) -> str:
    """Return `1.2 MiB more`, `3 KiB less` or `as before`."""
    if not more_bytes:
        return "as before"
    return f"{human_size(abs(more_bytes))} {'more' if more_bytes > 0 else 'less'}"


@register.filter
def wrappable(name: str) -> SafeString | str:
    """Let a long name or version break after its separators, instead of within a number or a word."""
    if len(name) <= WHOLE_MAX_CHARACTERS:
        return name
    return format_html_join(WORD_BREAK, "{}", ((part,) for part in PARTS.findall(name)))


@register.filter
def outside(link: Link) -> SafeString | str:
    """Render a package's link with `nofollow ugc noopener`; only its text if there is no safe URL."""
    if not link.href:
        return link.text
    return format_html('<a href="{}" rel="nofollow ugc noopener">{}</a>', link.href, link.text)


@register.simple_tag
def platforms(subdirs: Sequence[str], most: int) -> SafeString:
    """Render the first subdirs of a package as chips, and the number of others: `{% platforms subdirs 40 %}`."""
    chips = format_html_join("", '<span class="chip">{}</span>', ((subdir,) for subdir in subdirs[:most]))
    more = len(subdirs) - most
    return format_html('{}<span class="faint">and {} more</span>', chips, intcomma(more)) if more > 0 else chips


@register.simple_tag
def systems(subdirs: Sequence[str]) -> SafeString:
    """Render the subdirs of a package in one line: `linux &times;3` for three subdirs of Linux, else `win-64`."""
    of_system: dict[str, list[str]] = {}
    for subdir in subdirs:
        of_system.setdefault(subdir.partition("-")[0], []).append(subdir)
    shown = list(of_system.items())[:SYSTEMS_OF_A_LINE]
    chips = format_html_join("", "{}", ((_chip(*each),) for each in shown))
    more = len(subdirs) - sum(len(found) for _, found in shown)
    return format_html('{}<span class="faint">+{}</span>', chips, intcomma(more)) if more else chips


def _chip(system: str, subdirs: Sequence[str]) -> SafeString:
    if len(subdirs) == 1:
        return format_html('<span class="chip">{}</span>', subdirs[0])
    named = ", ".join(subdirs[:SUBDIRS_OF_A_CHIP])
    return format_html('<span class="chip" title="{}">{} &times;{}</span>', named, system, len(subdirs))
