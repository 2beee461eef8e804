"""The anaconda protocol's other commands: `login`, `show CHANNEL`, `search`, `download` and `copy`.

Source: anaconda/anaconda-client, binstar_client/__init__.py and mixins. Each command is a module of its
folder commands.
"""

from collections.abc import Iterable
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from channels_app.access.permissions import ANONYMOUS, Permission, channel_for
from channels_app.authentication import actors
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, ChannelKind, Package
from channels_app.packages.queries import LISTED, installable, labeled
from channels_app.search.queries import find_packages
from hub.errors import not_found
from publishing.downloads.views import channel_file
from publishing.labels import edits, names
from publishing.promotion import promotions
from publishing.promotion.plan import Wanted
from publishing.protocols.anaconda_labels import edit_all
from publishing.protocols.anaconda_packages import (
    default_owner,
    existing,
    json_body,
    json_view,
    no_key,
    of_base_name,
    package_document,
)

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
    # An upstream may have tens of thousands, of which this protocol has no files.
    own = installable(found).filter(channel__kind=ChannelKind.PACKAGES)
    return _listed(own.select_related("channel").order_by("name"))


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
def download(
    request: HttpRequest, channel: str, package: str, version: str, subdir: str, file_name: str
) -> HttpResponseBase:
    """Return the bytes themselves: the client follows a redirect without its key."""
    return channel_file(request, channel, f"{subdir}/{file_name}")


@json_view("POST", "PUT", "PATCH")
def copy(request: HttpRequest, channel: str, package: str, version: str, base_name: str = "") -> JsonResponse:
    """Promote the files of a version, or one file, to a label of another channel; within a channel, add the label.

    PUT replaces other bytes if the target allows it. PATCH leaves out names that exist there.
    """
    actor = actors.key_actor(request)
    source = channel_for(actor, channel, Permission.READ)
    sent = json_body(request)
    target = channel_for(actor, str(sent.get("to_owner") or default_owner(actor)), Permission.UPLOAD)
    from_label, to_label = _label(sent, "from_channel"), _label(sent, "to_channel")
    files = existing(source, package, version).filter(labeled(source, from_label), LISTED)
    if base_name:
        files = of_base_name(files, base_name)
    if not files.exists():
        raise not_found("no_such_file", f"'{channel}' has no file of '{package}' {version} to copy.")
    if source == target:
        base_names = _base_names(files)
        edit_all(actor, source, files, edits.change([to_label], []))
        return _copied(base_names)
    if request.method == "PATCH" and not (files := _without_existing(files, target)).exists():
        return _copied([])
    wanted = Wanted(actor, source, target, replaces=request.method == "PUT", label=to_label)
    base_names = _base_names(files)
    promotions.promote(wanted=wanted, selection=files, may_wait=False)
    return _copied(base_names)


def _label(sent: dict[str, Any], key: str) -> str:
    """Return the label that a request states, or `main`."""
    stated = sent.get(key) or MAIN_LABEL
    return names.folded(str(stated))


def _base_names(files: QuerySet[Artifact]) -> list[str]:
    places = files.order_by("subdir", "file_name").values_list("subdir", "file_name")
    return [f"{subdir}/{file_name}" for subdir, file_name in places]


def _copied(base_names: Iterable[str]) -> JsonResponse:
    return JsonResponse([{"basename": name} for name in base_names], safe=False)


def _without_existing(files: QuerySet[Artifact], target: Channel) -> QuerySet[Artifact]:
    same = {"subdir": OuterRef("subdir"), "file_name__lower": Lower(OuterRef("file_name"))}
    return files.exclude(Exists(target.artifacts.filter(**same)))
