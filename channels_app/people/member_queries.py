"""Reads for the pages of members."""

from collections.abc import Sequence

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from channels_app.access.permissions import RANK, ROLE_PERMISSIONS, ROLES, Actor, Permission, memberships
from channels_app.models import Channel, Invitation, Member, Role, Team, TeamMember, User

CANDIDATES_MAX = 10


def member_list(channel: Channel, *, text: str = "", role: str = "") -> QuerySet[Member]:
    """Return the members with `text` in their name and with `role`, if given; owners first, then by name.

    Each has its `name`, and a team also the number of its active `people`.
    """
    people = Count("team__people", filter=Q(team__people__user__is_active=True))
    members = Member.objects.filter(channel=channel).select_related("user", "team")
    members = members.annotate(name=Coalesce("user__username", "team__name"), people=people)
    members = members.filter(name__icontains=text)
    if role:
        members = members.filter(role=role)
    return members.order_by(RANK, "name", "pk")


def candidates(actor: Actor, channel: Channel, text: str) -> tuple[Sequence[User], Sequence[Team]]:
    """Return at most 10 users and teams with `text` in their names, exact matches first. Each has its `role` here.

    Only those that `actor` knows: people and teams of the actor's channels, and of the actor's teams. Administrators
    know all.
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
    """Return the pending invitations, the newest first."""
    waiting = Invitation.objects.filter(channel=channel, declined_at=None, expires_at__gt=timezone.now())
    return waiting.select_related("invited_by").order_by("-expires_at")


def role_table() -> list[tuple[Role, list[bool]]]:
    """Return each role, and whether it may read, upload, delete, manage and own."""
    return [(role, [permission in ROLE_PERMISSIONS[role] for permission in Permission]) for role in ROLES]
