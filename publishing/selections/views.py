"""The page on which files of a channel are selected, and the preview of an act on them."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel
from channels_app.ui.form_errors import shown_in
from hub.http.middleware import is_number_up_to
from publishing.removal.forms import RestoreForm
from publishing.removal.removal import SELECTION_MAX
from publishing.selections import queries
from publishing.selections.acts import ACTS, SelectionAct
from publishing.selections.forms import FilterForm

FILES_AT_FIRST = 100
ID_MAX = 2**63 - 1


@require_http_methods(["GET", "HEAD", "POST"])
def select(request: HttpRequest, channel: str) -> HttpResponse:
    """List the files that the query filters, with `select=all` ticked; preview an act on ticked ones, or apply it."""
    actor = actors.actor(request)
    if actor.user is None:
        return redirect_to_login(request.get_full_path())
    found = page_channel(actor, channel, Permission.DELETE)
    return _change(request, actor, found) if request.method == "POST" else _listing(request, found)


def _listing(request: HttpRequest, channel: Channel) -> HttpResponse:
    """Show the filtered files. An invalid filter selects none, because without it more files would be shown."""
    form = FilterForm(queries.subdirs(channel), request.GET)
    found = queries.find(channel, form.conditions()) if form.is_valid() else Artifact.objects.none()
    count = found.order_by()[: SELECTION_MAX + 1].count()
    is_ticked = request.GET.get("select") == "all"
    context = {
        "channel": channel,
        "form": form,
        "files": found[: SELECTION_MAX if is_ticked else FILES_AT_FIRST],
        "count": min(count, SELECTION_MAX),
        "has_more": count > SELECTION_MAX,
        "is_ticked": is_ticked,
        "is_narrowed": any(form.data.get(name) for name in form.fields),
    }
    return render(request, "selections/select.html", context)


def _change(request: HttpRequest, actor: Actor, channel: Channel) -> HttpResponse:
    """Preview the act that `preview` names, or apply that of `action`. The query leads back to the list."""
    is_applied = "action" in request.POST
    act, ids = ACTS.get(request.POST.get("action" if is_applied else "preview", "")), _ids(request)
    if act is None or not 0 < len(ids) <= SELECTION_MAX:
        messages.error(request, f"Tick 1 to {SELECTION_MAX} files, then choose what to do with them.")
        return redirect(request.get_full_path())
    selection = queries.ticked(channel, ids)
    form = act.form(request.POST if is_applied else None, name=queries.common_name(selection) or channel.name)
    if is_applied and form.is_valid() and _apply(request, actor, channel, act, form, selection):
        return redirect(request.get_full_path())
    plan = act.plan(actor, channel, selection)
    context = {
        "channel": channel,
        "act": act,
        "form": form,
        "plan": plan,
        "missing": len(ids) - len(plan.files) - len(plan.left),
        "grace_hours": settings.HUB_GRACE_HOURS,
    }
    return render(request, "selections/preview.html", context, status=422 if form.errors else 200)


def _apply(
    request: HttpRequest,
    actor: Actor,
    channel: Channel,
    act: SelectionAct,
    form: RestoreForm,
    selection: QuerySet[Artifact],
) -> bool:
    """Apply the act to the files of the preview. Return False, with an error in the form, if that is not possible."""
    values = {name: value for name, value in form.cleaned_data.items() if name != "confirmation"}
    expected = request.POST.get("fingerprint") or "of no preview"
    with shown_in(form):
        changed = act.apply(actor=actor, channel=channel, selection=selection, expected=expected, **values)
        messages.success(request, f"{len(changed)} file{' is' if len(changed) == 1 else 's are'} {act.done}")
    return not form.errors


def _ids(request: HttpRequest) -> set[int]:
    """Return the ids of the ticked files. A text that is no id stands for a file that does not exist."""
    return {int(text) if is_number_up_to(text, ID_MAX) else 0 for text in request.POST.getlist("file")}
