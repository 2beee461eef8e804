"""The anaconda protocol's users, packages, releases and files, which its clients read and remove.

Source: anaconda/anaconda-client, binstar_client/__init__.py; each command is a module of binstar_client/commands.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from rattler import Version

from channels_app.access.permissions import ANONYMOUS, Actor, Permission, channel_for, decide
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages.queries import HEAVY, LISTED, no_such_file, with_labels
from hub.errors import HubError, bad_request, not_found, unauthenticated
from hub.http.decorators import View, allow
from hub.http.request_body import json_object
from hub.plain_text import one_line
from publishing.removal import removal
from publishing.uploads.policies import check_uploader

REASON = "by the anaconda protocol"
# Clients with --force delete a file and upload its successor at once.
REPLACED_WITHIN = timedelta(minutes=10)


def json_view(*methods: str) -> Callable[[View], View]:
    """Make a view for clients that send a key and show people the `error` of a JSON object."""

    def decorate(view: View) -> View:
        allowed = allow(*methods)(view)

        @csrf_exempt
        @wraps(view)
        def answered(request: HttpRequest, **arguments: str) -> HttpResponseBase:
            try:
                return allowed(request, **arguments)
            except HubError as error:
                headers = error.headers | {"X-Error-Code": error.code, "Cache-Control": "no-store"}
                return JsonResponse({"error": one_line(error.detail)}, status=error.status, headers=headers)

        return answered

    return decorate


def json_body(request: HttpRequest) -> dict[str, Any]:
    if rb"\u0000" in request.body:
        raise bad_request("nul", "The body contains a NUL character, which no name here has.")
    if (document := json_object(request.body)) is None:
        raise bad_request("bad_json", "The body is no JSON object.")
    return document


def no_key() -> HubError:
    return unauthenticated("credential_needed", "No key was sent. Send one: anaconda -s SITE -t KEY.")


@json_view("GET", "HEAD")
def ping(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


@json_view("GET", "HEAD")
def user(request: HttpRequest) -> JsonResponse:
    """Return the owner of the key. The client uploads to this name, unless it gets another by `--user`."""
    actor = actors.key_actor(request)
    if actor == ANONYMOUS:
        raise unauthenticated(
            "credential_needed", "No key was sent. Send one: anaconda --token KEY, or anaconda login."
        )
    created_at = actor.user.date_joined if actor.user else actor.key and actor.key.created_at
    return JsonResponse({"login": default_owner(actor), "created_at": created_at, "user_type": "user"})


def default_owner(actor: Actor) -> str:
    """Return the channel of a channel key, else the name of the user."""
    return actor.key.robot_of.name if actor.key and actor.key.robot_of else str(actor)


@json_view("GET", "HEAD")
def owner(request: HttpRequest, channel: str) -> JsonResponse:
    """Return a channel as an organization."""
    found, _ = known_channel(actors.key_actor(request), channel)
    return JsonResponse({"login": found.name, "created_at": found.created_at, "user_type": "org"})


@json_view("GET", "HEAD", "POST", "PATCH", "DELETE")
def package(request: HttpRequest, channel: str, package: str) -> JsonResponse:
    """Answer for a package. POST and PATCH only check the right to upload: the first upload creates the package."""
    actor = actors.key_actor(request)
    if request.method in ("POST", "PATCH"):
        return _check_upload(actor, channel, package)
    if request.method == "DELETE":
        return _remove(actor, channel, package, status=201)
    found, may_read = known_channel(actor, channel)
    row = Package.objects.filter(channel=found, name=package).first()
    files = _listed(found, package) if may_read else []
    if row is None or not files:
        raise _no_package(channel, package)
    return JsonResponse(
        package_document(found, row)
        | {
            "files": [file_document(file) for file in files],
            "releases": [release_document(version, files) for version in _versions(files)],
            "versions": _versions(files),
        }
    )


@json_view("GET", "HEAD", "POST", "PATCH", "DELETE")
def release(request: HttpRequest, channel: str, package: str, version: str) -> JsonResponse:
    """Answer for a version, as package() does."""
    actor = actors.key_actor(request)
    if request.method in ("POST", "PATCH"):
        return _check_upload(actor, channel, package)
    if request.method == "DELETE":
        return _remove(actor, channel, package, version, status=201)
    found, may_read = known_channel(actor, channel)
    files = [file for file in _listed(found, package) if file.version == version] if may_read else []
    if not files:
        raise _no_package(channel, f"{package} {version}")
    return JsonResponse(release_document(version, files) | {"public_attrs": {"description": ""}})


@json_view("GET", "HEAD", "DELETE")
def dist(request: HttpRequest, channel: str, package: str, version: str, subdir: str, file_name: str) -> JsonResponse:
    """Answer for one file. A key that may only upload learns whether it exists."""
    actor = actors.key_actor(request)
    if request.method == "DELETE":
        return _remove(actor, channel, package, version, subdir=subdir, file_name=file_name)
    found, may_read = known_channel(actor, channel)
    artifact = existing(found, package, version).filter(subdir=subdir, file_name=file_name).defer(*HEAVY).first()
    if artifact is None:
        raise no_such_file(channel, subdir, file_name)
    document: dict[str, Any] = {"basename": f"{subdir}/{file_name}", "description": ""}
    if may_read:
        facts = {name: getattr(artifact, name) for name in ("subdir", "build", "build_number")}
        document = file_document(artifact) | document | {"attrs": facts}
    return JsonResponse(document)


def known_channel(actor: Actor, name: str) -> tuple[Channel, bool]:
    """Return the channel that `actor` may read or upload to, and whether it may read."""
    try:
        channel, granted = decide(actor, name, Permission.UPLOAD)
    except HubError:
        return channel_for(actor, name, Permission.READ), True
    return channel, Permission.READ in granted


def existing(channel: Channel, package: str, version: str = "") -> QuerySet[Artifact]:
    """Select the files of a package, or of one version, that are not deleted."""
    files = Artifact.objects.filter(channel=channel, package__name=package).exclude(removal=Removal.DELETED)
    return (files.filter(version=version) if version else files).select_related("channel", "package")


def of_base_name(files: QuerySet[Artifact], base_name: str) -> QuerySet[Artifact]:
    """Select the file that clients name `<subdir>/<file name>`."""
    subdir, _, file_name = base_name.partition("/")
    return files.filter(subdir=subdir, file_name=file_name)


def package_document(channel: Channel, package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "full_name": f"{channel}/{package.name}",
        "owner": {"login": channel.name},
        "public": not channel.is_private,
        "summary": package.summary,
        "latest_version": package.latest_version,
        "package_types": ["conda"],
        "conda_platforms": package.subdirs,
    }


def release_document(version: str, files: Iterable[Artifact]) -> dict[str, Any]:
    return {"version": version, "distributions": [file_document(file) for file in files if file.version == version]}


def file_document(artifact: Artifact) -> dict[str, Any]:
    base_name = artifact.path
    return {
        "basename": base_name,
        "full_name": f"{artifact.channel}/{artifact.package.name}/{artifact.version}/{base_name}",
        "version": artifact.version,
        "type": "conda",
        "size": artifact.size_bytes,
        "sha256": artifact.sha256,
        "md5": artifact.md5,
        "ndownloads": artifact.download_count,
        "upload_time": datetime.fromtimestamp(artifact.indexed_timestamp / 1000, UTC),
        "labels": artifact.label_names,
    }


def _listed(channel: Channel, package: str) -> list[Artifact]:
    return list(with_labels(existing(channel, package).filter(LISTED).defer(*HEAVY)).order_by("subdir", "file_name"))


def _versions(files: Iterable[Artifact]) -> list[str]:
    return sorted({file.version for file in files}, key=Version)


def _check_upload(actor: Actor, channel: str, package: str) -> JsonResponse:
    check_uploader(actor, channel_for(actor, channel, Permission.UPLOAD), package)
    return JsonResponse({"name": package, "package_types": ["conda"]})


def _remove(
    actor: Actor, channel: str, package: str, version: str = "", *, status: int = 200, **file: str
) -> JsonResponse:
    """Delete all files of a package, of a version, or one file. They can be restored within the grace period."""
    found = channel_for(actor, channel, Permission.DELETE)
    files = existing(found, package, version).filter(**file).defer(*HEAVY)
    removed = 0
    with transaction.atomic():
        while batch := list(files.order_by("pk").values_list("pk", flat=True)[: removal.SELECTION_MAX]):
            selection = files.filter(pk__in=batch)
            removal.change_selection(
                actor=actor, channel=found, selection=selection, change=removal.DELETE, reason=REASON
            )
            removed += len(batch)
    if not removed:
        raise not_found("no_such_file", f"'{channel}' has no file of '{'/'.join(file.values()) or package}'.")
    return JsonResponse({}, status=status)


def was_just_removed(artifact: Artifact, actor: Actor) -> bool:
    """Tell whether the user of `actor`, or any channel key, deleted the file by this protocol a moment ago."""
    is_recent = artifact.removed_at is not None and artifact.removed_at > timezone.now() - REPLACED_WITHIN
    return is_recent and artifact.removed_by == actor.user and artifact.removal_reason == REASON


def _no_package(channel: str, name: str) -> HubError:
    return not_found("no_such_package", f"'{channel}' has no package '{name}' with a file in the index.")
