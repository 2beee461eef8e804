"""Reads of promotions, and of the files to promote."""

from collections.abc import Sequence

from django.db.models import Case, Count, Exists, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from channels_app.access.permissions import (
    ROLE_PERMISSIONS,
    ROLES,
    Actor,
    Permission,
    memberships,
    visible_channels,
)
from channels_app.models import Artifact, Channel
from channels_app.packages.queries import LISTED, no_such_file
from hub.errors import not_found
from publishing.models import PUBLISHED, PromotedFile, Promotion, PromotionState

TARGETS_MAX = 500
HIDDEN_FAILURE = "The files could not be copied from a channel that you can't see."


def promotions(channel: Channel, actor: Actor) -> QuerySet[Promotion]:
    """Select the promotions to the channel, newest first, with `file_count` and `is_source_visible` to the actor.

    `shown_failure` is the failure. One that can name the source is replaced if the actor can't see it.
    """
    visible = visible_channels(actor).filter(pk=OuterRef("source"))
    found = Promotion.objects.filter(target=channel).select_related(
        "source", "target", "created_by", "created_with", "decided_by"
    )
    files = PromotedFile.objects.filter(promotion=OuterRef("pk")).order_by().values("promotion")
    file_count = Coalesce(Subquery(files.values(count=Count("pk"))), 0)
    found = found.annotate(file_count=file_count, is_source_visible=Exists(visible)).order_by("-pk")
    is_hidden = When(state=PromotionState.FAILED, is_source_visible=False, then=Value(HIDDEN_FAILURE))
    return found.annotate(shown_failure=Case(is_hidden, default="failure"))


def promotion_of(channel: Channel, promotion_id: int, actor: Actor) -> Promotion:
    """Return a promotion to the channel. Raise HubError 404 if there is none with this id."""
    promotion = promotions(channel, actor).filter(pk=promotion_id).first()
    if promotion is None:
        raise not_found("no_such_promotion", f"There is no promotion {promotion_id} to '{channel}'.")
    return promotion


def targets(actor: Actor, source: Channel) -> list[str]:
    """Return the names of the channels that the actor's user may upload to, without the source."""
    found = visible_channels(actor).exclude(pk=source.pk)
    if not (actor.user and actor.user.is_superuser):
        roles = [role for role in ROLES if Permission.UPLOAD in ROLE_PERMISSIONS[role]]
        found = found.filter(pk__in=memberships(actor.user).filter(role__in=roles).values("channel"))
    return list(found.order_by("name").values_list("name", flat=True)[:TARGETS_MAX])


def files_at(channel: Channel, paths: Sequence[str]) -> QuerySet[Artifact]:
    """Select the files `SUBDIR/FILE` of the channel. Raise HubError 404 for the first that its index doesn't have."""
    places = [(subdir, name) for subdir, _, name in (path.partition("/") for path in paths)]
    within = channel.artifacts.filter(subdir__in={subdir for subdir, _ in places})
    named = within.filter(LISTED, file_name__in={name for _, name in places})
    found = {(subdir, name): pk for subdir, name, pk in named.values_list("subdir", "file_name", "pk")}
    for subdir, name in places:
        if (subdir, name) not in found:
            raise no_such_file(channel, subdir, name)
    return channel.artifacts.filter(pk__in=[found[place] for place in places])


def origin(artifact: Artifact) -> Promotion | None:
    """Return the promotion that published the present bytes of `artifact`, or None."""
    files = artifact.promoted_files.filter(sha256=artifact.sha256, change__in=PUBLISHED)
    found = Promotion.objects.filter(pk__in=files.values("promotion"), state=PromotionState.DONE)
    return found.select_related("source", "created_by", "created_with").order_by("-pk").first()
