"""`/status` for administrators: the state of the hub, failed jobs and a test mail."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor
from channels_app.audit import test_message
from channels_app.authentication import actors
from channels_app.models import User
from channels_app.rate_limits import counters
from channels_app.ui.ids import stated_id
from publishing import failed_jobs
from publishing.models import FailedJob
from publishing.status.checks import status, versions

ALL = "all"


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show the status page, or apply a posted action. Answer 404 to users without administrator rights."""
    user = actors.person(request)
    if not user.is_superuser:
        raise Http404
    if request.method == "POST":
        return _act(request, user)
    found = status()
    errors = [problem for problem in found.problems if problem.severity == "error"]
    others = found.problems[1:] if errors else found.problems
    context = {"status": found, "worst": errors[0] if errors else None, "others": others, "versions": versions()}
    return render(request, "status/page.html", context)


def _act(request: HttpRequest, user: User) -> HttpResponse:
    """Apply `retry=` or `dismiss=` with a failed job's id or "all", or `test_mail=`. Ignore jobs that are gone."""
    actor = Actor(user=user)
    if "retry" in request.POST:
        sent, left = failed_jobs.retry(actor=actor, jobs=_chosen(request.POST["retry"]))
        if sent:
            messages.success(request, f"Sent again: {sent}. Jobs that succeed disappear from the list.")
        if left:
            messages.error(request, f"Not sent again: {left}, because the broker is down.")
    elif "dismiss" in request.POST:
        messages.success(
            request, f"Dismissed: {failed_jobs.dismiss(actor=actor, jobs=_chosen(request.POST['dismiss']))}."
        )
    elif "test_mail" in request.POST:
        _test_mail(request, user)
    return redirect("status")


def _test_mail(request: HttpRequest, user: User) -> None:
    counters.hit("email-by-account", f"user {user.pk}", "test mails of yours")
    outcome = test_message.send(request.POST["test_mail"].strip())
    say = messages.success if outcome.is_sent else messages.error
    say(request, f"{outcome.tried} {outcome.found}")


def _chosen(which: str) -> QuerySet[FailedJob]:
    found = FailedJob.objects.all()
    return found if which == ALL else found.filter(pk=stated_id(which))
