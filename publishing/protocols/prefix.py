"""The prefix protocol: `rattler-build upload prefix`, `pixi upload prefix`, `pixi publish`, and prefix.dev's deletion.

Source: conda/rattler, crates/rattler_upload/src/upload/prefix.rs. The client shows the first 512 characters of an
error's body, and reads 409 as "exists already". It sends the upload again after any status that it doesn't know.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from hub.errors import bad_request
from hub.http.decorators import allow, bounds_own_body
from hub.protocols import Protocol, Upload
from publishing.protocols import upload_check
from publishing.protocols.steps import delete_file, publish_body

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
    return publish_body(request, channel)


@csrf_exempt
@allow("DELETE")
def delete(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponse:
    """Handle `DELETE /api/v1/delete/{channel}/{subdir}/{file}`, as on prefix.dev. The key needs the scope `delete`."""
    return delete_file(request, channel, subdir, file_name)


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
