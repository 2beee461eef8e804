"""Template tag of the channel that an artifact was promoted from."""

from typing import Any

from django import template

from channels_app.access.permissions import visible_channels
from channels_app.authentication import actors
from channels_app.models import Artifact
from publishing.promotion import queries

register = template.Library()


@register.inclusion_tag("promotion/origin.html", takes_context=True)
def promoted_from(context: dict[str, Any], artifact: Artifact) -> dict[str, object]:
    """Show the promoter of the artifact, and the source if the reader can see that channel."""
    promotion = queries.origin(artifact)
    source = promotion.source if promotion else None
    is_visible = source and visible_channels(actors.actor(context["request"])).filter(pk=source.pk).exists()
    return {"promotion": promotion, "artifact": artifact, "source": source if is_visible else None}
