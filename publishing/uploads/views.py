"""The pages that change what clients download: uploading and removing."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from channels_app.access.permissions import Actor, Permission, channel_for, page_channel, permissions
from channels_app.accounts import reauthentication
from channels_app.authentication import actors
from channels_app.models import Artifact, Removal
from channels_app.packages.queries import HEAVY
from channels_app.quotas import quotas
from channels_app.site import misplaced
from channels_app.ui import settings_page
from hub.errors import HubError, bad_request
from hub.request_body import Body, receive
from publishing.removal import removal
from publishing.removal.forms import DeleteForm, ReleaseForm, RestoreForm, YankForm
from publishing.uploads import queries
from publishing.uploads.upload import Published, publish

STATUS_FILES_MAX = 200
# What a row of the upload page can be; the words of queries.Uploaded among them.
ROW_STATES = ("waiting", "uploading", "checking", "published", "indexed", "exists", "refused")
GONE_STATES = ("set aside", "yanked", "deleted")

FORMS = {"yank": YankForm, "restore": RestoreForm, "delete": DeleteForm, "release": ReleaseForm}
DONE = {
    "yank": "{} is yanked: out of the index, and still there for who has its address.",
    "restore": "{} is back in the index.",
    "delete": "{} is deleted. It can be restored until its bytes go.",
    "release": "The name {} is free again.",
}


@csrf_exempt  # the token is checked by session_actor, which leaves the body to us
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, channel: str) -> HttpResponse:
    """Where packages are dropped: one POST a file, from the page's script or as a plain form."""
    if request.method == "POST" and misplaced.carries_key(request):
        raise misplaced.refusal(request)
    if request.method == "POST":
        return _take_file(request, channel)
    actor = actors.actor(request)
    if actor.user is None:
        return redirect_to_login(request.get_full_path())
    found = page_channel(actor, channel, Permission.UPLOAD)
    context = {
        "recent": queries.recent_uploads(found, actor.user),
        "row_states": ROW_STATES + GONE_STATES,
        "public_url": settings.HUB_PUBLIC_URL,
    }
    return render(request, "settings/upload.html", settings_page.context(request, found, "upload") | context)


@require_safe
def status(request: HttpRequest, channel: str) -> HttpResponse:
    """`?file=<subdir>/<file name>&file=…` → how far each has come, as JSON."""
    found = page_channel(actors.actor(request), channel, Permission.UPLOAD)
    paths = request.GET.getlist("file")
    if len(paths) > STATUS_FILES_MAX:
        raise bad_request(
            "too_many_files", f"{len(paths)} files were asked for; ask for at most {STATUS_FILES_MAX} at once."
        )
    return JsonResponse(queries.upload_states(found, paths), headers={"Cache-Control": "no-store"})


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponse:
    """Yank, restore, delete or release one artifact: what is possible now, and what each of them means."""
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
        "goes_at": removal.goes_at(artifact),
        "grace_hours": settings.HUB_GRACE_HOURS,
        "is_owner": is_owner,
    }
    return render(request, "artifact_remove.html", context, status=422 if request.method == "POST" else 200)


def _take_file(request: HttpRequest, channel: str) -> HttpResponse:
    """Publish the file of a POST, and answer as whoever has sent it understands."""
    is_script = "application/json" in request.headers.get("Accept", "")
    try:
        published = _publish(request, channel)
    except HubError as error:
        if is_script:
            return JsonResponse({"error": error.detail}, status=error.status)
        if error.status == 403:
            raise
        messages.error(request, error.detail)
        return redirect("channel-upload", channel)
    artifact = published.artifact
    url = reverse("artifact", args=[channel, artifact.subdir, artifact.file_name])
    if is_script:
        state = "published" if published.is_new else "exists"
        answer = {"state": state, "url": url, "subdir": artifact.subdir, "file_name": artifact.file_name}
        return JsonResponse(answer, status=201 if published.is_new else 200)
    verb = "is published; the index follows in a moment" if published.is_new else "exists already, with the same bytes"
    messages.success(request, f"{artifact.subdir}/{artifact.file_name} {verb}.")
    return redirect(url)


def _publish(request: HttpRequest, channel: str) -> Published:
    """The script sends its token as a header, so that a refusal costs no body; a form has it within the body."""
    token = request.headers.get("X-CSRFToken", "")
    actor = actors.session_actor(request, token) if token else actors.signed_in(request)
    target = channel_for(actor, channel, Permission.UPLOAD)
    body = Body(request)
    payer = quotas.check_room(target, body.package_bytes)
    with receive(body, target.upload_limit_bytes) as received:
        if not token:
            actor = actors.session_actor(request, received.fields.get("csrfmiddlewaretoken", ""))
        may_restore = not reauthentication.is_missing(request)
        return publish(actor=actor, channel=target, received=received, payer=payer, may_restore=may_restore)


def _ways(request: HttpRequest, artifact: Artifact, *, is_owner: bool) -> dict[str, RestoreForm]:
    """What can be done with `artifact` as it is, each with its form, the posted one filled in."""
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
            request.POST if action == posted else None, file_name=artifact.file_name, auto_id=f"{action}-%s"
        )
        for action in actions
    }


def _remove(
    request: HttpRequest, actor: Actor, artifact: Artifact, ways: dict[str, RestoreForm]
) -> HttpResponse | None:
    """Do what was posted and lead on; None where its form has to be shown again."""
    action = request.POST.get("action", "")
    form = ways.get(action)
    if form is None:
        messages.error(request, "That is not possible (any more): see below how the file is now, and what can be done.")
        return redirect(request.path)
    if not form.is_valid():
        return None
    try:
        _change(actor, artifact, action, form.cleaned_data.get("reason", ""))
    except HubError as error:
        form.add_error(None, error.detail)
        return None
    messages.success(request, DONE[action].format(f"{artifact.subdir}/{artifact.file_name}"))
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
