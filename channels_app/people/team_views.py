"""Pages of the user's teams: the list, a new one, and a team's people and channels."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.authentication import actors
from channels_app.models import Team, User
from channels_app.people import invitations, team_queries, teams
from channels_app.people.team_forms import TeamForm
from channels_app.ui.form_errors import shown_in
from channels_app.ui.form_fields import ConfirmForm
from channels_app.ui.settings_page import sent
from hub.errors import HubError, bad_request

PEOPLE_A_PAGE = 50


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest) -> HttpResponse:
    """List the user's teams, all for administrators, and show the form for a new one."""
    user = actors.person(request)
    form = TeamForm(sent(request))
    if form.is_valid():
        with shown_in(form, "name"):
            team = teams.create(user=user, name=form.cleaned_data["name"], description=form.cleaned_data["description"])
            messages.success(request, f"Team {team} created. You are its manager.")
            return redirect("team", team.name)
    found = Paginator(team_queries.visible_teams(user), PEOPLE_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "people/teams.html", {"form": form, "teams": found})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def team_page(request: HttpRequest, name: str) -> HttpResponse:
    """Show a team to its people, 404 to others. A POST does its `action`."""
    user = actors.person(request)
    team = get_object_or_404(team_queries.visible_teams(user), name=name)
    forms = _forms(request, team)
    bound = next((form for form in forms.values() if form.is_bound), None)
    if request.method != "POST" or (bound and not bound.is_valid()):
        return _page(request, user, team, forms)
    try:
        return _act(request, user, team, bound.cleaned_data if bound else {})
    except HubError as error:
        if bound and teams.manages(user, team):
            bound.add_error(next(iter(bound.fields)), error.detail)
            return _page(request, user, team, forms)
        messages.error(request, error.detail)
        return redirect("team", name)


def _act(request: HttpRequest, user: User, team: Team, values: dict[str, Any]) -> HttpResponse:
    """Do the posted action, set its message, and redirect to a page that the user can see."""
    username, name_or_address = _text(request.POST, "username"), _text(request.POST, "who")
    match request.POST.get("action"):
        case "update":
            team = teams.update(user=user, team=team, **values)
            message = "The team is saved."
        case "add":
            message = _add(user, team, name_or_address)
        case "withdraw":
            invitations.withdraw_from_team(user=user, team=team, name_or_address=name_or_address)
            message = f"The invitation of {name_or_address} is withdrawn."
        case "manager" | "no-manager" as action:
            teams.set_manager(user=user, team=team, username=username, is_manager=action == "manager")
            change = "is now" if action == "manager" else "is no longer"
            message = f"{username} {change} a manager of the team."
        case "remove":
            teams.remove(user=user, team=team, username=username)
            message = f"{username} was removed from the team and loses the rights that came from it."
        case "delete":
            teams.delete(user=user, team=team)
            message = f"The team {team} is deleted."
        case _:
            raise bad_request("bad_action", "Unknown action. Reload the page.")
    messages.success(request, message)
    stays = team_queries.visible_teams(user).filter(pk=team.pk).exists()
    return redirect("team", team.name) if stays else redirect("account-teams")


def _add(user: User, team: Team, name_or_address: str) -> str:
    """Add the user if an administrator asks, else invite them. Return the message."""
    if user.is_superuser:
        return f"{teams.add(user=user, team=team, name_or_address=name_or_address).user} is in the team now."
    invitation = invitations.invite_into_team(user=user, team=team, name_or_address=name_or_address)
    return f"{invitation.invitee_name} is invited, and is in the team once the invitation is accepted."


def _forms(request: HttpRequest, team: Team) -> dict[str, TeamForm | ConfirmForm]:
    initial = {"name": team.name, "description": team.description, "group": team.group}
    return {
        "update": TeamForm(sent(request, "update"), initial=initial, prefix="team"),
        "delete": ConfirmForm(team, sent(request, "delete"), prefix="delete"),
    }


def _page(request: HttpRequest, user: User, team: Team, forms: dict[str, Any]) -> HttpResponse:
    people = Paginator(team_queries.people(team), PEOPLE_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "team": team,
        "forms": forms,
        "people": people,
        "to_confirm": team_queries.people(team).filter(user__username=_text(request.GET, "remove")).first(),
        "memberships": team_queries.channels_of(user, team),
        "may_manage": teams.manages(user, team),
        "pending": team_queries.pending(team),
    }
    return render(request, "people/team.html", context)


def _text(values: QueryDict, name: str) -> str:
    """Return a value without NUL characters."""
    return values.get(name, "").replace("\0", "").strip()
