"""`GET /api/v1/channels/{channel}/artifacts/{subdir}/{file}/provenance`: the origin of a file as JSON."""

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import Permission, channel_for
from channels_app.authentication import actors
from channels_app.models import Artifact, Removal
from channels_app.packages import provenance
from channels_app.packages.queries import HEAVY, no_such_file
from hub.http.decorators import allow
from hub.protocols import Protocol


@csrf_exempt
@allow("GET", "HEAD")
def artifact(request: HttpRequest, channel: str, subdir: str, file_name: str) -> JsonResponse:
    found = channel_for(actors.actor(request), channel, Permission.READ)
    artifacts = Artifact.objects.select_related("channel").defer(*HEAVY).exclude(removal=Removal.DELETED)
    artifact = artifacts.filter(channel=found, subdir=subdir, file_name=file_name).first()
    if artifact is None:
        raise no_such_file(channel, subdir, file_name)
    return JsonResponse(provenance.as_json(artifact), headers={"Cache-Control": "no-cache"})


PROTOCOL = Protocol(
    routes=(
        path(
            "api/v1/channels/<str:channel>/artifacts/<str:subdir>/<str:file_name>/provenance",
            artifact,
            name="artifact-provenance",
        ),
    ),
)
