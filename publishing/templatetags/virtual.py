"""Template tag of the names of a virtual channel."""

from typing import Any

from django import template
from django.core.paginator import Paginator

from channels_app.models import Channel
from publishing.virtual import queries

NAMES_A_PAGE = 50
TEXT_MAX_CHARACTERS = 200

register = template.Library()


@register.inclusion_tag("virtual/names.html", takes_context=True)
def virtual_names(context: dict[str, Any], channel: Channel) -> dict[str, object]:
    """Show the members in their order, and the names with the member that each belongs to."""
    query = context["request"].GET
    text = query.get("q", "").replace("\0", "").strip()[:TEXT_MAX_CHARACTERS]
    names = Paginator(queries.names(channel, text=text), NAMES_A_PAGE).get_page(query.get("page"))
    return {
        "request": context["request"],
        "channel": channel,
        "members": queries.members(channel),
        "may": context["may"],
        "text": text,
        "page": names,
    }
