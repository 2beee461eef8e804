"""The small parts that every page repeats: icons, states in words, times, logos, copy buttons. See /styleguide."""

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

HUES = 12  # as many .hue-… as tokens.css has

# A state → its icon and its tone. A state that is not here is a plain pill: a version, a role.
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
    "active": ("check", "success"),
    "pending": ("clock", "warning"),
    "expired": ("clock", "error"),
    "revoked": ("ban", "error"),
    "pinned": ("lock", "accent"),
}


@register.simple_tag
def icon(name: str, kind: str = "") -> SafeString:
    """A drawing of static/icons.svg, beside words that say the same; `kind` is one more class."""
    classes = f"icon {kind}" if kind else "icon"
    return format_html(
        '<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, static("icons.svg"), name
    )


@register.simple_tag
def pill(state: str, text: str = "") -> SafeString:
    """A state in words: `{% pill "private" %}`, `{% pill "indexed" "Indexed in 0.4 s" %}`, `{% pill member.role %}`."""
    drawing, tone = PILLS.get(state, ("", ""))
    return format_html(
        '<span class="pill{}">{}{}</span>',
        f" {tone}" if tone else "",
        icon(drawing) if drawing else "",
        text or state.capitalize(),
    )


@register.simple_tag
def visibility(channel: Channel) -> SafeString:
    """Who may read a channel."""
    return pill("private" if channel.is_private else "public")


@register.simple_tag
def ago(moment: datetime | int | None, otherwise: str = "never") -> SafeString | str:
    """How long ago, with the moment itself as a title; an integer is milliseconds since 1970."""
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
    """A channel's logo, or the strands that its name draws; `kind` is large, tiny or nothing."""
    # Lists leave the logo's bytes in the database; see queries.with_has_logo.
    has_logo = getattr(channel, "has_logo", None)
    has_logo = channel.logo is not None if has_logo is None else has_logo
    return {"kind": kind, "channel": channel if has_logo else None, **_emblem(channel.name)}


@register.inclusion_tag("parts/logo.html")
def avatar(user: AbstractBaseUser) -> dict[str, Any]:
    """A person's picture, drawn from the name."""
    return emblem(user.get_username())


@register.inclusion_tag("parts/logo.html")
def emblem(name: str) -> dict[str, Any]:
    """The picture of whoever has that name, a team for instance."""
    return {"kind": "avatar", "channel": None, **_emblem(name)}


def _emblem(name: str) -> dict[str, Any]:
    """The same name, the same picture: a hue, an initial and three strands that meet."""
    draw = sha256(name.encode()).digest()
    end = 8 + draw[4] % 48
    starts = [draw[1] % 20, 24 + draw[2] % 16, 44 + draw[3] % 20]
    strands = "".join(f"M-4 {start}C{24 + draw[5] % 16} {start} 24 {end} 68 {end}" for start in starts)
    return {"hue": draw[0] % HUES, "initial": name[:1], "strands": strands}


@register.inclusion_tag("parts/copy.html")
def copy(value: str = "", label: str = "Copy") -> dict[str, str]:
    """A button that copies `value`, or the `.code` that it stands in. Without JavaScript there is none."""
    return {"value": value, "label": label}


@register.inclusion_tag("parts/pagination.html", takes_context=True)
def pagination(context: dict[str, Any], page: Page[Any]) -> dict[str, Any]:
    """Links to the other pages of a list, with the rest of the address as it is; nothing where there is one page."""
    return {
        "request": context["request"],
        "page": page,
        "numbers": page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1),
    }


@register.inclusion_tag("parts/plot.html")
def plot(days: Sequence[tuple[date, int]], what: str) -> dict[str, Any]:
    """How many a day, as an area with its numbers around it: `{% plot downloads "downloads" %}`."""
    return {"what": what, **plots.area(days)}


@register.simple_tag
def spark(counts: Sequence[int]) -> SafeString:
    """The same as a line without numbers, for a row of a table that says them in words."""
    return format_html(
        '<svg class="spark" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        '<polyline points="{}"/></svg>',
        plots.points(counts, max(counts, default=0)),
    )
