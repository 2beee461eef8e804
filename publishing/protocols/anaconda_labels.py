"""The anaconda protocol's labels: `anaconda label`, `anaconda move`, and copies within a channel.

Source: anaconda/anaconda-client, binstar_client/mixins/channels.py. A `channel` of the protocol is a label here. `main`
is the channel itself.
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, JsonResponse

from channels_app.access.permissions import Actor, Permission, channel_for
from channels_app.authentication import actors
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages.queries import HEAVY, LISTED, labeled, with_labels
from hub.errors import not_found, unprocessable
from publishing.labels import artifact_labels, edits, labels, names, queries
from publishing.labels.edits import Edit
from publishing.protocols.anaconda_packages import existing, file_document, json_body, json_view, of_base_name
from publishing.removal.removal import SELECTION_MAX

FILES_MAX = 10_000
CREATED = 201


@json_view("GET", "HEAD")
def listing(request: HttpRequest, channel: str) -> JsonResponse:
    """Return all labels, `main` first."""
    found = channel_for(actors.key_actor(request), channel, Permission.READ)
    others = queries.of_channel(found).order_by("name").values_list("name", flat=True)
    return JsonResponse({name: {"is_locked": False} for name in (MAIN_LABEL, *others)})


@json_view("GET", "HEAD", "POST", "DELETE")
def one(request: HttpRequest, channel: str, label: str) -> JsonResponse:
    """Return the files with the label, add it to files, or remove it from them; without a package, delete it."""
    actor = actors.key_actor(request)
    name = names.folded(label)
    if request.method == "POST":
        found = channel_for(actor, channel, Permission.UPLOAD)
        return _edited(actor, found, _stated(found, json_body(request)), edits.change([name], []))
    if request.method == "DELETE":
        found = channel_for(actor, channel, Permission.DELETE)
        return _removed(actor, found, name, json_body(request))
    found = channel_for(actor, channel, Permission.READ)
    check_exists(found, name)
    files = with_labels(_within_limit(_all(found).filter(labeled(found, name), LISTED).defer(*HEAVY)))
    shown = files.order_by("package__name", "subdir", "file_name")
    return JsonResponse({"name": name, "is_locked": False, "files": [file_document(file) for file in shown]})


@json_view("POST")
def copy(request: HttpRequest, channel: str, label: str, to_label: str) -> JsonResponse:
    """Give all files with the label another one, too."""
    actor = actors.key_actor(request)
    found = channel_for(actor, channel, Permission.UPLOAD)
    name = names.folded(label)
    check_exists(found, name)
    return _edited(actor, found, _all(found).filter(labeled(found, name)), edits.change([names.folded(to_label)], []))


@json_view("POST", "DELETE")
def lock(request: HttpRequest, channel: str, label: str) -> JsonResponse:
    """Refuse to lock a label."""
    channel_for(actors.key_actor(request), channel, Permission.READ)
    raise unprocessable(
        "label_unsupported",
        "Labels can't be locked. Roles in the channel say who may add labels and who may remove them.",
    )


def check_exists(channel: Channel, label: str) -> None:
    """Raise 404 for a label that the channel lacks."""
    if label != MAIN_LABEL:
        queries.label_of(channel, label)


def edit_all(actor: Actor, channel: Channel, files: QuerySet[Artifact], edit: Edit) -> None:
    """Edit the labels of all the files, in one transaction."""
    ids = list(_within_limit(files).order_by("pk").values_list("pk", flat=True))
    with transaction.atomic():
        for first in range(0, len(ids), SELECTION_MAX):
            selection = Artifact.objects.filter(channel=channel, pk__in=ids[first : first + SELECTION_MAX])
            artifact_labels.edit_selection(actor=actor, channel=channel, selection=selection, edit=edit)


def _removed(actor: Actor, channel: Channel, name: str, sent: Mapping[str, Any]) -> JsonResponse:
    if sent.get("package"):
        return _edited(actor, channel, _stated(channel, sent).filter(labeled(channel, name)), edits.change([], [name]))
    if name == MAIN_LABEL:
        raise unprocessable(
            "label_unsupported", "'main' is the channel itself and can't be removed from it; remove it from a package."
        )
    labels.delete(actor=actor, channel=channel, name=name)
    return JsonResponse({}, status=CREATED)


def _edited(actor: Actor, channel: Channel, files: QuerySet[Artifact], edit: Edit) -> JsonResponse:
    edit_all(actor, channel, files, edit)
    return JsonResponse({}, status=CREATED)


def _stated(channel: Channel, sent: Mapping[str, Any]) -> QuerySet[Artifact]:
    """Select the files of the package, version and file that a request states. Raise 404 if there are none."""
    package, version, base_name = (str(sent.get(key) or "") for key in ("package", "version", "basename"))
    files = existing(channel, package, version) if package else _all(channel)
    if base_name:
        files = of_base_name(files, base_name)
    if not files.exists():
        stated = "/".join(filter(None, (package, version, base_name)))
        raise not_found("no_such_file", f"'{channel}' has no file of '{stated}'.")
    return files


def _all(channel: Channel) -> QuerySet[Artifact]:
    return (
        Artifact.objects.filter(channel=channel).exclude(removal=Removal.DELETED).select_related("channel", "package")
    )


def _within_limit(files: QuerySet[Artifact]) -> QuerySet[Artifact]:
    """Return the files. Raise 422 for more than FILES_MAX."""
    if files.order_by()[: FILES_MAX + 1].count() > FILES_MAX:
        raise unprocessable(
            "selection_too_large", f"More than {FILES_MAX:,} files match; state a package or a version."
        )
    return files
