"""Template tags for icons, pills, times, logos, copy buttons and plots. See /styleguide."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from django import template
from django.contrib.auth.models import AbstractBaseUser
from django.core.paginator import Page
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from channels_app.models import Channel
from channels_app.ui import plots

register = template.Library()

HUES = 12  # the number of .hue-… classes in tokens.css

# State → icon and CSS class. Any other text, such as a version or a role, is a plain pill.
PILLS = {
    "private": ("lock", "warning"),
    "public": ("globe", ""),
    "latest": ("tag", "accent"),
    "verified": ("shield-check", "accent"),
    "yanked": ("ban", "error"),
    "deleted": ("trash-2", "error"),
    "set aside": ("triangle-alert", "warning"),
    "waiting": ("clock", ""),
    "uploading": ("loader-circle", "busy"),
    "checking": ("loader-circle", "busy"),
    "published": ("check", "success"),
    "indexed": ("check", "success"),
    "refused": ("circle-x", "error"),
    "failed": ("circle-x", "error"),
    "running": ("loader-circle", "busy"),
    "done": ("check", "success"),
    "stopped": ("ban", "warning"),
    "rolled_back": ("rotate-ccw", "warning"),
    "info": ("info", ""),
    "warning": ("triangle-alert", "warning"),
    "critical": ("circle-x", "error"),
    "active": ("check", "success"),
    "pending": ("clock", "warning"),
    "expired": ("clock", "error"),
    "revoked": ("ban", "error"),
    "pinned": ("lock", "accent"),
}


@register.simple_tag
def icon(name: str, kind: str = "") -> SafeString:
    """Render an icon of static/icons.svg, hidden from screen readers. `kind` is an additional class."""
    classes = f"icon {kind}" if kind else "icon"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, static("icons.svg"), name
    )


@register.simple_tag
def pill(state: str, text: str = "") -> SafeString:
    """Render a state: `{% pill "private" %}`, `{% pill "indexed" "Indexed in 0.4 s" %}`, `{% pill member.role %}`."""
    icon_name, css_class = PILLS.get(state, ("", ""))
    return format_html(
        '<span class="pill{}">{}{}</span>',
        f" {css_class}" if css_class else "",
        icon(icon_name) if icon_name else "",
        text or state.capitalize(),
    )


@register.simple_tag
def visibility(channel: Channel) -> SafeString:
    """Render a channel's visibility as a pill."""
    return pill("public" if channel.is_for_all else "private")


@register.simple_tag
def ago(moment: datetime | int | None, otherwise: str = "never") -> SafeString | str:
    """Render the time since `moment`, with the moment as a title. An integer is milliseconds since 1970."""
    if moment is None:
        return otherwise
    if isinstance(moment, int):
        moment = datetime.fromtimestamp(moment / 1000, UTC)
    moment = moment.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        moment.isoformat(timespec="seconds"),
        moment.strftime("%Y-%m-%d %H:%M:%S"),
        _since(moment, timezone.now()),
    )


def _since(moment: datetime, now: datetime) -> str:
    passed = now - moment
    days = (now.date() - moment.date()).days
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // 60} min ago"
    if passed < timedelta(hours=24):
        return f"{passed.seconds // 3600} h ago"
    if days < 30:
        return "yesterday" if days == 1 else f"{days} days ago"
    return _day(moment.date())


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


@register.inclusion_tag("parts/logo.html")
def logo(channel: Channel, kind: str = "") -> dict[str, Any]:
    """Render a channel's logo, or a picture generated from its name. `kind` is `large`, `tiny` or empty."""
    # Lists don't load the logo's bytes; see channels.queries.with_has_logo.
    has_logo = getattr(channel, "has_logo", None)
    has_logo = channel.logo is not None if has_logo is None else has_logo
    return {"kind": kind, "channel": channel if has_logo else None, **_emblem(channel.name)}


@register.inclusion_tag("parts/logo.html")
def avatar(user: AbstractBaseUser) -> dict[str, Any]:
    """Render a picture generated from the user name."""
    return emblem(user.get_username())


@register.inclusion_tag("parts/logo.html")
def emblem(name: str) -> dict[str, Any]:
    """Render a picture generated from a name, such as that of a team."""
    return {"kind": "avatar", "channel": None, **_emblem(name)}


def _emblem(name: str) -> dict[str, Any]:
    """Return the picture of a name, always the same: a hue, an initial and three strands."""
    draw = sha256(name.encode()).digest()
    end = 8 + draw[4] % 48
    starts = [draw[1] % 20, 24 + draw[2] % 16, 44 + draw[3] % 20]
    strands = "".join(f"M-4 {start}C{24 + draw[5] % 16} {start} 24 {end} 68 {end}" for start in starts)
    return {"hue": draw[0] % HUES, "initial": name[:1], "strands": strands}


@register.inclusion_tag("parts/copy.html")
def copy(value: str = "", label: str = "Copy") -> dict[str, str]:
    """Render a button that copies `value`, or the enclosing `.code`. It is hidden without JavaScript."""
    return {"value": value, "label": label}


@register.inclusion_tag("parts/pagination.html", takes_context=True)
def pagination(context: dict[str, Any], page: Page[Any]) -> dict[str, Any]:
    """Render links to the other pages of a list, keeping the query; empty if there is only one page."""
    return {
        "request": context["request"],
        "page": page,
        "numbers": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
    }


@register.inclusion_tag("parts/turner.html", takes_context=True)
def turner(context: dict[str, Any], page: Page[Any]) -> dict[str, Any]:
    """Render links to the previous and the next page, for the top of a list; empty if there is only one page."""
    return {"request": context["request"], "page": page}


@register.inclusion_tag("parts/plot.html")
def plot(days: Sequence[tuple[date, int]], what: str) -> dict[str, Any]:
    """Render daily counts as an area plot with numbers: `{% plot downloads "downloads" %}`."""
    return {"what": what, **plots.area(days)}


@register.simple_tag
def spark(counts: Sequence[int]) -> SafeString:
    """Render counts as a line without numbers, for a table row that gives them as text."""
    return format_html(
        '<svg class="spark" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        '<polyline points="{}"/></svg>',
        plots.points(counts, max(counts, default=0)),
    )
