"""The prefix protocol: `rattler-build upload prefix`, `pixi upload prefix`, `pixi publish`, and prefix.dev's deletion.

Source: conda/rattler, crates/rattler_upload/src/upload/prefix.rs. The client shows the first 512 characters of an
error's body, and reads 409 as "exists already". It sends the upload again after any status that it doesn't know.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import Permission, channel_for
from channels_app.authentication import actors, decision_cache
from channels_app.models import Artifact, Removal
from channels_app.quotas import quotas
from hub.errors import bad_request, not_found
from hub.http.decorators import allow, bounds_own_body
from hub.http.request_body import Body, receive
from hub.protocols import Protocol, Upload
from publishing.protocols import upload_check
from publishing.removal import removal
from publishing.uploads.upload import publish

REDIRECT_HINT = (
    "If you sent POST, a redirect changed the method: use the hub's own address, with https if the hub has it."
)


@csrf_exempt
@bounds_own_body
@allow("POST", hint=REDIRECT_HINT)
def upload(request: HttpRequest, channel: str) -> HttpResponse:
    """Handle `POST /api/v1/upload/{channel}[?force=true]` with a form or the bare bytes.

    The request needs a key; cookies are ignored.
    """
    if not channel:
        raise bad_request("channel_missing", "The URL names no channel; expected /api/v1/upload/<channel>.")
    to = decision_cache.upload_decision(request, channel)
    force = request.GET.get("force", "false").lower() == "true"
    body = Body(request)
    payer = quotas.check_room(to.channel, body.package_bytes)
    with receive(body, to.channel.upload_limit_bytes) as received:
        published = publish(
            actor=to.actor,
            channel=to.channel,
            received=received,
            force=force,
            access_revision=to.access_revision,
            payer=payer,
        )
    artifact = published.artifact
    verb = "published" if published.is_new else "exists already"
    return HttpResponse(f"{artifact} {verb}.\n", status=201 if published.is_new else 200, content_type="text/plain")


@csrf_exempt
@allow("DELETE")
def delete(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponse:
    """Handle `DELETE /api/v1/delete/{channel}/{subdir}/{file}`, as on prefix.dev. The key needs the scope `delete`."""
    actor = actors.key_actor(request)
    target = channel_for(actor, channel, Permission.DELETE)
    artifact = Artifact.objects.filter(channel=target, subdir=subdir, file_name=file_name).first()
    if artifact is None or artifact.removal == Removal.DELETED:
        raise not_found("no_such_file", f"'{channel}' has no file '{subdir}/{file_name}'.")
    removal.delete(actor=actor, artifact=artifact, reason="by the API")
    return HttpResponse(f"{artifact} deleted.\n", content_type="text/plain")


PROTOCOL = Protocol(
    uploads=(
        Upload(
            route="api/v1/upload/<str:channel>",
            name="upload",
            view=upload,
            check=upload_check.by_key,
            command="rattler-build upload prefix --url {url} --channel {channel} FILE",
            curl='curl --data-binary @FILE -H "X-File-Name: FILE" -H "Authorization: Bearer KEY"',
            too_long="the address ends with the channel, and the file's name goes into X-File-Name",
        ),
    ),
    routes=(
        path("api/v1/upload/", upload, {"channel": ""}, name="upload"),
        path("api/v1/delete/<str:channel>/<str:subdir>/<str:file_name>", delete, name="delete"),
    ),
    path_key_routes=frozenset({"upload", "delete"}),
)
