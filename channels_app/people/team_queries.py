"""Reads for the pages of teams."""

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from channels_app.access.permissions import Actor, visible_channels
from channels_app.models import Invitation, Member, Team, TeamMember, User
from channels_app.people import invitations


def visible_teams(user: User) -> QuerySet[Team]:
    """Return the user's teams, all for administrators; each with its `size`, and whether `user` manages it."""
    mine = TeamMember.objects.filter(team=OuterRef("pk"), user=user)
    teams = Team.objects.annotate(
        size=Count("people", filter=Q(people__user__is_active=True)), is_manager=Exists(mine.filter(is_manager=True))
    )
    return (teams if user.is_superuser else teams.filter(Exists(mine))).order_by("name")


def people(team: Team) -> QuerySet[TeamMember]:
    """Return the team's people, managers first, then by name."""
    return TeamMember.objects.filter(team=team).select_related("user").order_by("-is_manager", "user__username")


def pending(team: Team) -> QuerySet[Invitation]:
    """Return the pending invitations to the team."""
    return invitations.pending().filter(to_team=team).select_related("invited_by").order_by("-expires_at")


def channels_of(user: User, team: Team) -> QuerySet[Member]:
    """Return the team's memberships in channels that `user` can see, by name."""
    visible = visible_channels(Actor(user=user)).values("pk")
    found = Member.objects.filter(team=team, channel__in=visible)
    return found.select_related("channel").defer("channel__logo").order_by("channel__name")
