"""The upload page, and the state of uploaded files as JSON."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from channels_app.access.permissions import Permission, channel_for, page_channel
from channels_app.accounts import reauthentication
from channels_app.authentication import actors
from channels_app.quotas import quotas
from channels_app.site import misplaced
from channels_app.ui import settings_page
from hub.errors import HubError, bad_request
from hub.http.decorators import bounds_own_body
from hub.http.middleware import carries_key
from hub.http.request_body import Body, receive
from publishing.uploads import queries
from publishing.uploads.upload import publish
from publishing.uploads.values import UploadResult

STATUS_FILES_MAX = 200
# States of a row of the upload page; they include the states of queries.Uploaded.
ROW_STATES = ("waiting", "uploading", "checking", "published", "indexed", "exists", "refused")
GONE_STATES = ("set aside", "yanked", "deleted")


@csrf_exempt  # session_actor checks the token, so that Django doesn't read the body
@bounds_own_body
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest, channel: str) -> HttpResponse:
    """Show the upload page, or publish the one file of a POST by the page's script or a plain form."""
    if request.method == "POST" and carries_key(request):
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
    return render(request, "settings/upload.html", settings_page.frame_context(request, found, "upload") | context)


@require_safe
def status(request: HttpRequest, channel: str) -> HttpResponse:
    """Answer `?file=<subdir>/<file name>&file=…` with path → state as JSON."""
    found = page_channel(actors.actor(request), channel, Permission.UPLOAD)
    paths = request.GET.getlist("file")
    if len(paths) > STATUS_FILES_MAX:
        raise bad_request(
            "too_many_files", f"{len(paths)} files were asked for; ask for at most {STATUS_FILES_MAX} at once."
        )
    return JsonResponse(queries.upload_states(found, paths), headers={"Cache-Control": "no-store"})


def _take_file(request: HttpRequest, channel: str) -> HttpResponse:
    """Publish the file of a POST. Answer the script with JSON, a form with a redirect."""
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
    messages.success(request, f"{artifact.path} {verb}.")
    return redirect(url)


def _publish(request: HttpRequest, channel: str) -> UploadResult:
    """Publish the file of the body. The script sends the CSRF token as a header, so errors come before the body."""
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
