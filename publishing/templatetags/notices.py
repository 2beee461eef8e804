"""Template tags of the notices of a channel, and of the hub."""

from collections.abc import Iterable

from django import template

from channels_app.models import Channel
from publishing.models import ChannelNotice, NoticeLevel
from publishing.notices import banner, queries

register = template.Library()

# Level → class and icon of its alert.
ALERTS = {
    NoticeLevel.INFO.value: ("info", "info"),
    NoticeLevel.WARNING.value: ("warning", "triangle-alert"),
    NoticeLevel.CRITICAL.value: ("error", "circle-x"),
}


@register.inclusion_tag("notices/alerts.html")
def notices(channel: Channel) -> dict[str, object]:
    """Show the notices of a channel as alerts, as its clients show them."""
    return {"alerts": _alerts(queries.current(channel))}


@register.inclusion_tag("notices/banner.html")
def hub_notices() -> dict[str, object]:
    """Show the notices of the hub as alerts at the top of every page."""
    return {"alerts": _alerts(banner.shown())}


@register.inclusion_tag("notices/alerts.html")
def notice_preview(notice: dict[str, object]) -> dict[str, object]:
    """Show an alert for the values of a notice."""
    return {"alerts": [(*ALERTS[str(notice["level"])], notice)]}


def _alerts(notices: Iterable[ChannelNotice]) -> list[tuple[str, str, ChannelNotice]]:
    return [(*ALERTS[notice.level], notice) for notice in notices]
