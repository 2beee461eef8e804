"""The anaconda protocol below `/anaconda`: `anaconda upload` and `rattler-build upload anaconda`.

Source: anaconda/anaconda-client, binstar_client/__init__.py and commands/upload.py; conda/rattler,
crates/rattler_upload/src/upload/anaconda.rs. An owner of anaconda.org is a channel here, with its labels. Anaconda's
own servers have channels at `/conda/CHANNEL`, which is an alias here.

An upload has three requests: stage, data and commit. The data request has no credential, so its address carries a
grant. The package is published by the data request, and commit only confirms it. Both clients hide errors of the data
request or show them badly, so stage checks everything that it can.
"""

import re
from dataclasses import replace
from functools import wraps

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.utils.html import escape
from django.views.decorators.csrf import csrf_exempt

from channels_app.access import revision
from channels_app.access.permissions import Actor, Permission, channel_for
from channels_app.authentication import actors, upload_grants
from channels_app.authentication.upload_grants import Grant
from channels_app.models import Artifact, Channel, Removal
from channels_app.quotas import quotas
from hub.errors import HubError, conflict, not_found, unprocessable
from hub.http.decorators import View, allow, bounds_own_body
from hub.http.request_body import Body, receive
from hub.plain_text import one_line
from hub.protocols import Protocol, Upload
from publishing.attestations import acceptance
from publishing.downloads.addresses import alias_file
from publishing.labels import names
from publishing.protocols import anaconda_commands as commands
from publishing.protocols import anaconda_labels as label_commands
from publishing.protocols import anaconda_packages as packages
from publishing.protocols import upload_check
from publishing.protocols.anaconda_packages import json_body, json_view
from publishing.uploads import existing_artifacts, links
from publishing.uploads.policies import check_uploader
from publishing.uploads.upload import publish

SHA256 = re.compile("[0-9a-f]{64}")


@json_view("POST")
def stage(request: HttpRequest, channel: str, package: str, version: str, subdir: str, file_name: str) -> JsonResponse:
    """Check an upload before its bytes, and return the address for them."""
    actor = actors.key_actor(request)
    target = channel_for(actor, channel, Permission.UPLOAD)
    announced = json_body(request)
    if announced.get("distribution_type", "conda") != "conda":
        raise unprocessable("not_conda", f"{file_name} is no conda package; the hub has conda packages alone.")
    labels = _labels(announced.get("channels") or [])
    check_uploader(actor, target, package)
    acceptance.check_missing(target)
    quotas.check_room(target, 0)
    sha256 = str(announced.get("sha256", "")).lower()
    if not SHA256.fullmatch(sha256):
        raise unprocessable("checksum_missing", "The request names no SHA-256 of the file; update the client.")
    replaces_deleted = _check_existing(actor, target, subdir, file_name, sha256)
    grant = upload_grants.sign(Grant(actor, subdir, file_name, sha256, replaces_deleted, labels), channel)
    address = request.build_absolute_uri(reverse("anaconda-data", args=[channel], query={"grant": grant}))
    return JsonResponse({"post_url": address, "form_data": {}, "dist_id": sha256})


def _labels(announced: object) -> tuple[str, ...]:
    """Return the labels of an upload. Raise 422 for bad ones."""
    if not isinstance(announced, list) or not all(isinstance(label, str) for label in announced):
        raise unprocessable("bad_label", "Expected as `channels` a list of labels.")
    return names.parsed(announced)


def _check_existing(actor: Actor, channel: Channel, subdir: str, file_name: str, sha256: str) -> bool:
    """Raise 409 if other bytes have the name. Return True if they were deleted to be replaced.

    If the channel's files never change, raise 403 instead: at a 409, rattler with --force deletes the file.
    """
    artifact = Artifact.objects.filter(channel=channel, subdir=subdir, file_name__iexact=file_name).first()
    if artifact is None or artifact.sha256 == sha256:
        return False
    if artifact.removal != Removal.DELETED:
        error = existing_artifacts.exists(artifact, sha256)
        raise error if channel.allow_overwrite else HubError(403, error.code, error.detail)
    if not (channel.allow_overwrite and packages.was_just_removed(artifact, actor)):
        raise existing_artifacts.name_deleted(artifact)
    return True


def xml_errors(view: View) -> View:
    """Answer HubErrors as XML: anaconda-client prints the text and fails if it is no XML with a `Code`, as S3's is."""

    @wraps(view)
    def answered(request: HttpRequest, channel: str) -> HttpResponseBase:
        try:
            return view(request, channel)
        except HubError as error:
            text = f"<Error><Code>{error.code}</Code><Message>{escape(one_line(error.detail))}</Message></Error>\n"
            headers = error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"}
            return HttpResponse(text, status=error.status, content_type="application/xml", headers=headers)

    return answered


@csrf_exempt
@bounds_own_body
@xml_errors
@allow("POST")
def data(request: HttpRequest, channel: str) -> HttpResponse:
    """Publish the part `file` of a form by the grant in the address. Other credentials are ignored.

    The part has no file name in rattler. anaconda-client accepts 201 alone.
    """
    access_revision = revision.current()
    grant, target = _granted(request, channel)
    body = Body(request)
    payer = quotas.check_room(target, body.package_bytes)
    with receive(body, target.upload_limit_bytes) as received:
        published = publish(
            actor=grant.actor,
            channel=target,
            received=replace(
                received,
                file_name=grant.file_name,
                claimed_subdir=grant.subdir,
                claimed_sha256=grant.sha256,
            ),
            force=grant.replaces_deleted,
            replaces_deleted=grant.replaces_deleted,
            access_revision=access_revision,
            payer=payer,
            labels=grant.labels,
        )
    headers = links.headers(published.artifact)
    return HttpResponse(f"{published.artifact} published.\n", status=201, content_type="text/plain", headers=headers)


@upload_check.answered
def may_send_data(request: HttpRequest, channel: str) -> None:
    _granted(request, channel)


def _granted(request: HttpRequest, channel: str) -> tuple[Grant, Channel]:
    grant = upload_grants.read(request.GET.get("grant", ""), channel)
    actors.log_actor(request, grant.actor)
    return grant, channel_for(grant.actor, channel, Permission.UPLOAD)


@json_view("POST")
def commit(request: HttpRequest, channel: str, package: str, version: str, subdir: str, file_name: str) -> JsonResponse:
    """Confirm that the hub has the staged bytes."""
    target = channel_for(actors.key_actor(request), channel, Permission.UPLOAD)
    artifact = packages.existing(target, package, version).filter(subdir=subdir, file_name=file_name).first()
    if artifact is None:
        raise not_found("no_such_file", f"'{channel}' has no file '{subdir}/{file_name}': its bytes have not arrived.")
    if artifact.sha256 != json_body(request).get("dist_id"):
        raise conflict("replaced", f"{artifact} was replaced by other bytes in the meantime.")
    return JsonResponse({"url": f"{settings.HUB_PUBLIC_URL}{reverse('package', args=[channel, package])}"})


VERSION = "<str:channel>/<str:package>/<str:version>"
FILE = f"{VERSION}/<str:subdir>/<str:file_name>"

PROTOCOL = Protocol(
    uploads=(Upload(route="anaconda/data/<str:channel>", name="anaconda-data", view=data, check=may_send_data),),
    routes=(
        path("anaconda", packages.ping, name="anaconda"),
        path("anaconda/", packages.ping, name="anaconda"),
        path("anaconda/user", packages.user, name="anaconda-user"),
        path("anaconda/user/<str:channel>", packages.owner, name="anaconda-owner"),
        path("anaconda/package/<str:channel>/<str:package>", packages.package, name="anaconda-package"),
        path(f"anaconda/release/{VERSION}", packages.release, name="anaconda-release"),
        path(f"anaconda/dist/{FILE}", packages.dist, name="anaconda-dist"),
        path(f"anaconda/stage/{FILE}", stage, name="anaconda-stage"),
        path(f"anaconda/commit/{FILE}", commit, name="anaconda-commit"),
        path("anaconda/authentication-type", commands.authentication_type, name="anaconda-authentication-type"),
        path("anaconda/authentications", commands.authentications, name="anaconda-authentications"),
        path("anaconda/packages/<str:channel>", commands.channel_packages, name="anaconda-packages"),
        path("anaconda/search", commands.search, name="anaconda-search"),
        path(f"anaconda/download/{FILE}", commands.download, name="anaconda-download"),
        path(f"anaconda/copy/package/{VERSION}/", commands.copy, name="anaconda-copy"),
        path(f"anaconda/copy/package/{VERSION}/<path:base_name>", commands.copy, name="anaconda-copy-file"),
        path("anaconda/channels/<str:channel>", label_commands.listing, name="anaconda-labels"),
        path("anaconda/channels/<str:channel>/<str:label>", label_commands.one, name="anaconda-label"),
        path(
            "anaconda/channels/<str:channel>/<str:label>/copy/<str:to_label>",
            label_commands.copy,
            name="anaconda-label-copy",
        ),
        path("anaconda/channels/<str:channel>/<str:label>/lock", label_commands.lock, name="anaconda-label-lock"),
        path("conda/<str:channel>/<path:path>", alias_file, name="anaconda-file"),
    ),
    path_key_routes=frozenset({"anaconda-file"}),
)
