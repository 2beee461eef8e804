"""Kinds of webhook events, and their payloads.

A payload holds only facts that a reader of the channel sees. So changes of members and publishers name nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.conf import settings

from channels_app.access.actions import Action
from channels_app.models import Artifact, AuditEvent, Channel

INDEX_BUILT = "index.built"
TEST = "webhook.test"
FACTS = ("version", "build", "build_number", "sha256", "size_bytes")


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of events: its label, and the actions of the audit log that it stands for."""

    label: str
    actions: tuple[Action, ...] = ()


KINDS = {
    "artifact.published": EventKind(
        "A file was published",
        (
            *(Action.ARTIFACT_PUBLISH, Action.ARTIFACT_PROMOTE, Action.ARTIFACT_OVERWRITE),
            *(Action.ARTIFACT_IMPORT, Action.ARTIFACT_ADOPT),
        ),
    ),
    "artifact.yanked": EventKind("A file was yanked", (Action.ARTIFACT_YANK,)),
    "artifact.restored": EventKind("A file was restored", (Action.ARTIFACT_RESTORE,)),
    "artifact.deleted": EventKind("A file was deleted", (Action.ARTIFACT_DELETE,)),
    INDEX_BUILT: EventKind("The index of a subdir was built"),
    "publisher.changed": EventKind(
        "A trusted publisher was added or removed",
        (Action.PUBLISHER_ADD, Action.PUBLISHER_REMOVE, Action.PUBLISHER_BIND, Action.PUBLISHER_FIRST_USE),
    ),
    "member.changed": EventKind(
        "A member was added, changed or removed",
        (
            Action.MEMBER_ADD,
            Action.MEMBER_CHANGE,
            Action.MEMBER_REMOVE,
            Action.MEMBER_LEAVE,
            Action.INVITATION_ACCEPT,
            Action.CHANNEL_TRANSFER,
        ),
    ),
}
KIND_OF = {action: name for name, kind in KINDS.items() for action in kind.actions}


def actions_of(kinds: Iterable[str]) -> list[Action]:
    return [action for name in kinds if name in KINDS for action in KINDS[name].actions]


def message(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Return the body of a delivery, as JSON."""
    body = {"type": kind, "timestamp": at, "data": data}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def data_of_events(channel: Channel, events: list[AuditEvent]) -> list[dict[str, Any]]:
    """Return the data of each event, by at most one query."""
    places = {event.pk: _place(channel, event) for event in events if event.action.startswith("artifact.")}
    artifacts = _artifacts(channel, places.values())
    return [
        _artifact_data(channel, event, places[event.pk], artifacts.get(places[event.pk]))
        if event.pk in places
        else {"channel": channel.name, "action": event.action}
        for event in events
    ]


def _place(channel: Channel, event: AuditEvent) -> tuple[str, str]:
    subdir, _, file_name = event.target.removeprefix(f"{channel}/").partition("/")
    return subdir, file_name


def _artifacts(channel: Channel, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Artifact]:
    names = {file_name for _, file_name in places}
    if not names:
        return {}
    found = Artifact.objects.filter(channel=channel, file_name__in=names).select_related("package")
    return {(artifact.subdir, artifact.file_name): artifact for artifact in found.only(*FACTS, *PLACE)}


PLACE = ("subdir", "file_name", "package__name")


def _artifact_data(
    channel: Channel, event: AuditEvent, place: tuple[str, str], artifact: Artifact | None
) -> dict[str, Any]:
    """Describe the file. The digest is that of the event, since the file may have been replaced later."""
    subdir, file_name = place
    data = {
        "channel": channel.name,
        "subdir": subdir,
        "file_name": file_name,
        "url": f"{settings.HUB_PUBLIC_URL}/{channel}/{subdir}/{file_name}",
    }
    if artifact:
        data |= {"name": artifact.package.name} | {name: getattr(artifact, name) for name in FACTS}
    return data | {name: event.detail[name] for name in ("sha256", "size_bytes") if name in event.detail}
