"""The anaconda protocol's other commands: `login`, `show CHANNEL`, `search`, `download`, `copy` and `label`.

Source: anaconda/anaconda-client, binstar_client/__init__.py and mixins. Each command is a module of its
folder commands.
"""

from contextlib import closing
from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from channels_app.access import revision
from channels_app.access.permissions import ANONYMOUS, Actor, Permission, channel_for
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel, Package
from channels_app.packages.queries import HEAVY, LISTED, installable
from channels_app.quotas import quotas
from channels_app.search.queries import find_packages
from hub.errors import not_found
from hub.http.request_body import receive_chunks
from hub.storage import store
from publishing.downloads.views import channel_file
from publishing.protocols.anaconda_packages import (
    LABEL,
    check_label,
    default_owner,
    existing,
    json_body,
    json_view,
    no_key,
    no_labels,
    package_document,
)
from publishing.uploads.upload import publish

FOUND_MAX = 100


@json_view("GET", "HEAD")
def authentication_type(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"authentication_type": "password"})


@json_view("POST", "DELETE")
def authentications(request: HttpRequest) -> JsonResponse:
    """Check the key that `anaconda login` sends as the password, and return it as the token that the client stores.

    DELETE is `anaconda logout`, which forgets the key on that machine. The key stays valid: it may be in use elsewhere.
    """
    secret = actors.credential(request)
    if secret is None or actors.key_actor(request) == ANONYMOUS:
        raise no_key()
    if request.method == "DELETE":
        return JsonResponse({}, status=201)
    return JsonResponse({"token": secret})


@json_view("GET", "HEAD")
def channel_packages(request: HttpRequest, channel: str) -> JsonResponse:
    found = channel_for(actors.key_actor(request), channel, Permission.READ)
    return _listed(installable(found).select_related("channel").order_by("name"))


@json_view("GET", "HEAD")
def search(request: HttpRequest) -> JsonResponse:
    """Return the packages that match `name`, the best match first."""
    found = find_packages(actors.key_actor(request), request.GET.get("name", ""))
    platform = request.GET.get("platform", "")
    matches = [package for package in found[:FOUND_MAX] if not platform or platform in package.subdirs]
    return _listed(matches if request.GET.get("type", "conda") == "conda" else [])


def _listed(packages: QuerySet[Package] | list[Package]) -> JsonResponse:
    return JsonResponse([package_document(package.channel, package) for package in packages], safe=False)


@json_view("GET", "HEAD")
def labels(request: HttpRequest, channel: str) -> JsonResponse:
    channel_for(actors.key_actor(request), channel, Permission.READ)
    return JsonResponse({LABEL: {"is_locked": False}})


@json_view("GET", "HEAD", "POST", "DELETE")
def label(request: HttpRequest, channel: str, label: str) -> JsonResponse:
    """Refuse to show, add, remove, copy or lock a label: `main` is the channel itself."""
    channel_for(actors.key_actor(request), channel, Permission.READ)
    raise no_labels(channel)


@json_view("GET", "HEAD")
def download(
    request: HttpRequest, channel: str, package: str, version: str, subdir: str, file_name: str
) -> HttpResponseBase:
    """Return the bytes themselves: the client follows a redirect without its key."""
    return channel_file(request, channel, f"{subdir}/{file_name}")


@dataclass(frozen=True, slots=True)
class Target:
    """The channel to copy to. `access_revision` was read before the right of `actor` was checked."""

    actor: Actor
    channel: Channel
    access_revision: int | None
    replaces: bool


@json_view("POST", "PUT", "PATCH")
def copy(request: HttpRequest, channel: str, package: str, version: str, base_name: str = "") -> JsonResponse:
    """Copy the files of a version, or one file, to another channel, as uploads of the caller.

    PUT replaces other bytes if the target allows it. PATCH leaves out names that exist there.
    """
    actor = actors.key_actor(request)
    source = channel_for(actor, channel, Permission.READ)
    wanted = json_body(request)
    access_revision = revision.current()
    to = channel_for(actor, str(wanted.get("to_owner") or default_owner(actor)), Permission.UPLOAD)
    for each, name in ((source, "from_channel"), (to, "to_channel")):
        check_label(each.name, wanted.get(name, LABEL))
    target = Target(actor, to, access_revision, replaces=request.method == "PUT")
    subdir, _, file_name = base_name.partition("/")
    files = existing(source, package, version).filter(LISTED)
    files = files.filter(subdir=subdir, file_name=file_name) if base_name else files
    found = list(files.defer(*HEAVY).order_by("subdir", "file_name"))
    if not found:
        raise not_found("no_such_file", f"'{channel}' has no file of '{package}' {version} to copy.")
    if request.method == "PATCH":
        found = [artifact for artifact in found if not _exists(artifact, to)]
    return JsonResponse([_copy(artifact, target) for artifact in found], safe=False)


def _exists(artifact: Artifact, channel: Channel) -> bool:
    place = {"subdir": artifact.subdir, "file_name__iexact": artifact.file_name}
    return Artifact.objects.filter(channel=channel, **place).exists()


def _copy(artifact: Artifact, to: Target) -> dict[str, str]:
    payer = quotas.check_room(to.channel, artifact.size_bytes)
    limit_bytes = to.channel.upload_limit_bytes
    with (
        closing(store().open(str(artifact))) as chunks,
        receive_chunks(chunks, artifact.file_name, artifact.sha256, artifact.size_bytes, limit_bytes) as received,
    ):
        publish(
            actor=to.actor,
            channel=to.channel,
            received=received,
            force=to.replaces,
            access_revision=to.access_revision,
            payer=payer,
        )
    return {"basename": f"{artifact.subdir}/{artifact.file_name}"}
