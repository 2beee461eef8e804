"""The quetz protocol: `rattler-build upload quetz`, quetz-client, and scripts for quetz.

Source: conda/rattler, crates/rattler_upload/src/upload/mod.rs, which sends the body in chunks, without a length;
mamba-org/quetz-client, src/quetz_client/client.py; and mamba-org/quetz, quetz/main.py. Both clients hide the body of an
error, and show its status. quetz_commands.py answers the other commands of
quetz-client.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from hub.http.decorators import allow, bounds_own_body
from hub.protocols import Protocol, Upload
from publishing.downloads.addresses import alias_file
from publishing.protocols import quetz_commands as commands
from publishing.protocols import upload_check
from publishing.protocols.steps import publish_body


@csrf_exempt
@bounds_own_body
@allow("POST")
def upload(request: HttpRequest, channel: str, file_name: str) -> HttpResponse:
    """Handle `POST /api/channels/{channel}/upload/{file}?force=&sha256=` with the bare bytes."""
    return publish_body(request, channel, file_name=file_name, claimed_sha256=request.GET.get("sha256", ""))


@csrf_exempt
@bounds_own_body
@allow("POST")
def upload_form(request: HttpRequest, channel: str) -> HttpResponse:
    """Handle `POST /api/channels/{channel}/files/` of older scripts: a form with one package as `files`.

    The server quetz takes several packages in a form. The hub takes one, since a refusal is about one file.
    """
    return publish_body(request, channel, form_part="files")


CHANNELS = "api/channels"
CHANNEL = f"{CHANNELS}/<str:channel>"
PACKAGE = f"{CHANNEL}/packages/<str:package>"
PROTOCOL = Protocol(
    uploads=(
        Upload(
            route=f"{CHANNEL}/upload/<str:file_name>",
            name="quetz-upload",
            view=upload,
            check=upload_check.by_key,
            command="rattler-build upload quetz --url {url} --channel {channel} FILE",
            curl='curl --data-binary @FILE -H "X-API-Key: KEY"',
        ),
        Upload(route=f"{CHANNEL}/files/", name="quetz-form", view=upload_form, check=upload_check.by_key),
    ),
    routes=(
        path(CHANNELS, commands.channels, name="quetz-channels"),
        path("api/paginated/channels", commands.channels, {"is_paged": True}, name="quetz-channels-paged"),
        path(CHANNEL, commands.channel, name="quetz-channel"),
        path(f"{CHANNEL}/members", commands.members, name="quetz-members"),
        path(f"{CHANNEL}/packages", commands.packages, name="quetz-packages"),
        path(
            "api/paginated/channels/<str:channel>/packages",
            commands.packages,
            {"is_paged": True},
            name="quetz-packages-paged",
        ),
        path(f"{PACKAGE}/versions", commands.versions, name="quetz-versions"),
        path(
            "api/paginated/channels/<str:channel>/packages/<str:package>/versions",
            commands.versions,
            {"is_paged": True},
            name="quetz-versions-paged",
        ),
        path(f"{PACKAGE}/versions/<str:subdir>/<str:file_name>", commands.version, name="quetz-version"),
        path("api/me", commands.me, name="quetz-me"),
        path("api/users", commands.users, name="quetz-users"),
        path("api/paginated/users", commands.users, {"is_paged": True}, name="quetz-users-paged"),
        path("api/users/<str:username>/role", commands.user_role, name="quetz-user-role"),
        path("get/<str:channel>/<path:path>", alias_file, name="quetz-file"),
    ),
    path_key_routes=frozenset({"quetz-file"}),
)
