"""Template tags for sizes, links and platforms of packages."""

from collections.abc import Sequence

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from channels_app.packages.metadata import Link
from hub.sizes import human_size

register = template.Library()

# Nearly all packages have fewer. A page lists 50 packages, and thousands of subdirs each would fill megabytes.
SUBDIRS_OF_A_LINE = 12


@register.filter
def size(size_bytes: int) -> SafeString:
    """Return `12.3 MiB`, with the exact bytes as a title."""
    return format_html('<span title="{} bytes">{}</span>', intcomma(size_bytes), human_size(size_bytes))


@register.filter
def outside(link: Link) -> SafeString | str:
    """Render a package's link with `nofollow ugc noopener`; only its text if there is no safe URL."""
    if not link.href:
        return link.text
    return format_html('<a href="{}" rel="nofollow ugc noopener">{}</a>', link.href, link.text)


@register.simple_tag
def platforms(subdirs: Sequence[str], most: int = SUBDIRS_OF_A_LINE) -> SafeString:
    """Render the first subdirs of a package as chips, and the number of others: `{% platforms package.subdirs %}`."""
    chips = format_html_join("", '<span class="chip">{}</span>', ((subdir,) for subdir in subdirs[:most]))
    more = len(subdirs) - most
    return format_html('{}<span class="faint">and {} more</span>', chips, intcomma(more)) if more > 0 else chips
