"""Reads for the pages of a channel's settings."""

from dataclasses import dataclass

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Sum, Value, When

from channels_app.access import ROLE_PERMISSIONS, Permission
from channels_app.models import Artifact, AuditEvent, Channel, Member, Role

# The most powerful first.
ROLES = (Role.OWNER, Role.MAINTAINER, Role.CONTRIBUTOR, Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes with a channel."""

    packages: int
    files: int
    size_bytes: int
    members: int


def member_list(channel: Channel, *, text: str = "", role: str = "") -> QuerySet[Member]:
    """The members whose name holds `text` and who have `role`, both where given; owners first, then by name."""
    rank = Case(
        *(When(role=role, then=n) for n, role in enumerate(ROLES)), default=Value(9), output_field=IntegerField()
    )
    members = Member.objects.filter(channel=channel, user__username__icontains=text).select_related("user")
    if role:
        members = members.filter(role=role)
    return members.annotate(rank=rank).order_by("rank", "user__username")


def role_table() -> list[tuple[Role, list[bool]]]:
    """Each role, and whether it may read, upload, delete, manage and own."""
    return [(role, [permission in ROLE_PERMISSIONS[role] for permission in Permission]) for role in ROLES]


def events(channel: Channel, *, prefixes: tuple[str, ...] = ()) -> QuerySet[AuditEvent]:
    """What happened in `channel`, newest first; of the actions that begin with one of `prefixes`, where given."""
    wanted = Q()
    for prefix in prefixes:
        wanted |= Q(action__startswith=prefix)
    return AuditEvent.objects.filter(wanted, channel=channel).select_related("actor", "key")


def artifact_paths(channel: Channel, targets: set[str]) -> dict[str, tuple[str, str]]:
    """Of those `targets` that have a page: target → subdir and file name."""
    names = {target.rpartition("/")[2] for target in targets}
    found = Artifact.objects.filter(channel=channel, file_name__in=names).values_list("subdir", "file_name")
    return {f"{subdir}/{file_name}": (subdir, file_name) for subdir, file_name in found}


def contents(channel: Channel) -> Contents:
    """What a channel holds, in three queries."""
    artifacts = Artifact.objects.filter(channel=channel, is_purged=False)
    files = artifacts.aggregate(n=Count("pk"), size_bytes=Sum("size_bytes", default=0))
    return Contents(
        packages=channel.packages.count(),
        files=files["n"],
        size_bytes=files["size_bytes"],
        members=channel.members.count(),
    )
