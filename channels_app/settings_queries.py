"""Reads for the pages of a channel's settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from channels_app.access import ROLE_PERMISSIONS, Actor, Permission, memberships
from channels_app.models import Artifact, AuditEvent, Channel, Invitation, Member, Role, Team, TeamMember, User
from channels_app.queries import RANK, ROLES

CANDIDATES_MAX = 10


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes with a channel."""

    packages: int
    files: int
    size_bytes: int
    members: int


def member_list(channel: Channel, *, text: str = "", role: str = "") -> QuerySet[Member]:
    """The members whose name holds `text` and who have `role`, both where given; owners first, then by name.

    Each has its `name`, of the user or the team, and of a team its `people`, who can sign in.
    """
    people = Count("team__people", filter=Q(team__people__user__is_active=True))
    members = Member.objects.filter(channel=channel).select_related("user", "team")
    members = members.annotate(name=Coalesce("user__username", "team__name"), people=people)
    members = members.filter(name__icontains=text)
    if role:
        members = members.filter(role=role)
    return members.order_by(RANK, "name", "pk")


def candidates(actor: Actor, channel: Channel, text: str) -> tuple[Sequence[User], Sequence[Team]]:
    """Users and teams with `text` in their names, at most 10 together; exact names first. Each has its `role` here.

    Of those that `actor` knows: who is in a channel or a team with them, and their own teams; administrators know all.
    """
    role = Member.objects.filter(channel=channel).values("role")
    by_name = Q(username__icontains=text) | Q(first_name__icontains=text) | Q(last_name__icontains=text)
    users = (
        _known_users(actor).filter(by_name, is_active=True).annotate(role=Subquery(role.filter(user=OuterRef("pk"))))
    )
    teams = (
        _known_teams(actor)
        .filter(name__icontains=text)
        .annotate(
            role=Subquery(role.filter(team=OuterRef("pk"))),
            size=Count("people", filter=Q(people__user__is_active=True)),
        )
    )
    found = list(
        users.order_by(Case(When(username__lower=text.lower(), then=0), default=1), "username")[:CANDIDATES_MAX]
    )
    left = max(CANDIDATES_MAX - len(found), 0)
    return found, list(teams.order_by(Case(When(name=text, then=0), default=1), "name")[:left])


def _known_users(actor: Actor) -> QuerySet[User]:
    if actor.user is None:
        return User.objects.none()
    if actor.user.is_superuser:
        return User.objects.all()
    shared = memberships(actor.user).filter(channel__deleted_at=None).values("channel")
    in_channels = Member.objects.filter(channel__in=shared).exclude(user=None).values("user")
    in_teams = TeamMember.objects.filter(team__people__user=actor.user).values("user")
    return User.objects.filter(Q(pk__in=in_channels) | Q(pk__in=in_teams))


def _known_teams(actor: Actor) -> QuerySet[Team]:
    if actor.user is None:
        return Team.objects.none()
    mine = TeamMember.objects.filter(user=actor.user).values("team")
    shared = memberships(actor.user).values("channel")
    in_channels = Member.objects.filter(channel__in=shared).exclude(team=None).values("team")
    is_known = Q(pk__in=mine) | Q(pk__in=in_channels)
    return Team.objects.all() if actor.user.is_superuser else Team.objects.filter(is_known)


def pending_invitations(channel: Channel) -> QuerySet[Invitation]:
    """The invitations that are not accepted yet, the last invited first."""
    waiting = Invitation.objects.filter(channel=channel, declined_at=None, expires_at__gt=timezone.now())
    return waiting.select_related("invited_by").order_by("-expires_at")


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
