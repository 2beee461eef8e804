"""The page on which an artifact is yanked, deleted, restored or released."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.models import Artifact, Removal
from channels_app.packages.queries import HEAVY
from channels_app.ui.form_errors import shown_in
from publishing.removal import removal
from publishing.removal.forms import DeleteForm, ReleaseForm, RestoreForm, YankForm

FORMS = {"yank": YankForm, "restore": RestoreForm, "delete": DeleteForm, "release": ReleaseForm}
DONE = {
    "yank": "{} is yanked: it is no longer in the index, but its URL still works.",
    "restore": "{} is back in the index.",
    "delete": "{} is deleted. It can be restored until its bytes are purged.",
    "release": "The name {} is free again.",
}


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponse:
    """Show the actions that the artifact's state allows, or apply the posted one."""
    actor = actors.actor(request)
    if actor.user is None:
        return redirect_to_login(request.get_full_path())
    found = page_channel(actor, channel, Permission.DELETE)
    artifacts = found.artifacts.select_related("package", "removed_by")
    artifact = get_object_or_404(artifacts.defer(*HEAVY), subdir=subdir, file_name=file_name)
    is_owner = Permission.OWN in permissions(actor, found)
    ways = _ways(request, artifact, is_owner=is_owner)
    if request.method == "POST" and (answer := _remove(request, actor, artifact, ways)):
        return answer
    context = {
        "channel": found,
        "artifact": artifact,
        "ways": ways,
        "purge_at": removal.purge_at(artifact),
        "grace_hours": settings.HUB_GRACE_HOURS,
    }
    return render(request, "removal/artifact.html", context, status=422 if request.method == "POST" else 200)


def _ways(request: HttpRequest, artifact: Artifact, *, is_owner: bool) -> dict[str, RestoreForm]:
    """Return action → form for the actions that the artifact's state allows. The posted form is bound."""
    match artifact.removal:
        case Removal.YANKED:
            actions = ["restore", "delete"]
        case Removal.DELETED:
            actions = ["restore"] * (not artifact.is_purged) + ["release"] * is_owner
        case _:
            actions = ["yank", "delete"]
    posted = request.POST.get("action")
    return {
        action: FORMS[action](
            request.POST if action == posted else None, name=artifact.file_name, auto_id=f"{action}-%s"
        )
        for action in actions
    }


def _remove(
    request: HttpRequest, actor: Actor, artifact: Artifact, ways: dict[str, RestoreForm]
) -> HttpResponse | None:
    """Apply the posted action and redirect. Return None if the form has to be shown again."""
    action = request.POST.get("action", "")
    form = ways.get(action)
    if form is None:
        messages.error(request, "This action is not possible for the file as it is now. See below for what you can do.")
        return redirect(request.path)
    if not form.is_valid():
        return None
    with shown_in(form):
        _change(actor, artifact, action, form.cleaned_data.get("reason", ""))
    if form.errors:
        return None
    messages.success(request, DONE[action].format(artifact.path))
    if action == "release":
        return redirect("channel", artifact.channel.name)
    return redirect("artifact", artifact.channel.name, artifact.subdir, artifact.file_name)


def _change(actor: Actor, artifact: Artifact, action: str, reason: str) -> None:
    match action:
        case "yank":
            removal.yank(actor=actor, artifact=artifact, reason=reason)
        case "delete":
            removal.delete(actor=actor, artifact=artifact, reason=reason)
        case "restore":
            removal.restore(actor=actor, artifact=artifact)
        case "release":
            removal.release(actor=actor, artifact=artifact)
