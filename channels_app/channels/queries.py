"""Reads for the pages of channels and their settings."""

from dataclasses import dataclass

from django.db.models import (
    Count,
    DateTimeField,
    ExpressionWrapper,
    F,
    IntegerField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce

from channels_app.access.permissions import RANK, Actor, memberships_of, visible_channels
from channels_app.channels import channels
from channels_app.models import Artifact, Channel, ChannelKind, Package, Role
from channels_app.quotas import channel_quotas


def channel_cards(actor: Actor, *, mine: bool = False, text: str = "") -> QuerySet[Channel]:
    """Return the channels that `actor` can see, or is a member of, with `text` in name or description; by name.

    Each has `package_count`, `size_bytes`, `updated_at`, the actor's highest `role` and `has_logo`. Counts are
    subqueries, since joins would multiply members by packages. One query, whose cost depends on the number of rows
    that are read.
    """
    packages = Package.objects.filter(channel=OuterRef("pk"), latest_version__gt="").order_by()
    count = packages.values("channel").annotate(count=Count("pk")).values("count")
    found = with_has_logo().filter(pk__in=visible_channels(actor).values("pk"))
    if mine and actor.user:
        found = found.filter(pk__in=memberships_of(actor).values("channel"))
    if text:
        found = found.filter(Q(name__icontains=text) | Q(description__icontains=text))
    return found.annotate(
        package_count=Coalesce(Subquery(count), 0, output_field=IntegerField()),
        size_bytes=channel_quotas.stored_bytes(),
        updated_at=Subquery(packages.order_by("-updated_at").values("updated_at")[:1]),
        role=Subquery(memberships_of(actor).filter(channel=OuterRef("pk")).order_by(RANK).values("role")[:1]),
    ).order_by("name")


def deleted_channels(actor: Actor) -> QuerySet[Channel]:
    """Return the channels that `actor` may restore, with `purge_at`, the latest deletion first.

    Keys and tokens can't restore a channel: only a signed-in owner can.
    """
    deleted = with_has_logo().filter(deleted_at__gt=channels.purge_before()).order_by("-deleted_at")
    if actor.user is None or actor.key or actor.token:
        return deleted.none()
    deleted = deleted.annotate(purge_at=ExpressionWrapper(F("deleted_at") + channels.grace(), DateTimeField()))
    if actor.user.is_superuser:
        return deleted
    return deleted.filter(members__user=actor.user, members__role=Role.OWNER)


def with_has_logo() -> QuerySet[Channel]:
    """Return channels with `has_logo`, without the logo's bytes."""
    return Channel.objects.defer("logo").annotate(has_logo=Q(logo__isnull=False))


def recent_packages(actor: Actor, count: int) -> QuerySet[Package]:
    """Return the packages updated last in channels that `actor` can see, with their channels; 2 queries."""
    return (
        visible_packages(actor)
        .filter(updated_at__isnull=False)
        .prefetch_related(Prefetch("channel", with_has_logo()))
        .order_by("-updated_at")[:count]
    )


def visible_packages(actor: Actor) -> QuerySet[Package]:
    """Return the installable packages of channels that `actor` can see, without those of upstreams."""
    channels = visible_channels(actor).exclude(kind=ChannelKind.UPSTREAM)
    return Package.objects.filter(channel__in=channels.values("pk"), latest_version__gt="")


@dataclass(frozen=True, slots=True)
class Contents:
    """Numbers of packages, files, bytes and members that a channel's deletion removes."""

    packages: int
    files: int
    size_bytes: int
    members: int


def artifact_paths(channel: Channel, targets: set[str]) -> dict[str, tuple[str, str]]:
    """Return target → subdir and file name, for the `targets` that have a page."""
    names = {target.rpartition("/")[2] for target in targets}
    found = Artifact.objects.filter(channel=channel, file_name__in=names).values_list("subdir", "file_name")
    return {f"{subdir}/{file_name}": (subdir, file_name) for subdir, file_name in found}


def contents(channel: Channel) -> Contents:
    """Count the channel's contents, in three queries."""
    artifacts = Artifact.objects.filter(channel=channel, is_purged=False)
    files = artifacts.aggregate(n=Count("pk"), size_bytes=Sum("size_bytes", default=0))
    return Contents(
        packages=channel.packages.count(),
        files=files["n"],
        size_bytes=files["size_bytes"],
        members=channel.members.count(),
    )
