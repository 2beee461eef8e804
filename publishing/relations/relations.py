"""Relations of a channel: the base, which clients search first, and the channel that it overrides (CEP 42).

`listed` is what the index files of the channel state. It is empty while clients could not follow the relations: a
related channel was deleted, became private, or changed its own relations.
"""

from collections.abc import Iterable

from django.db import transaction

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, channel_for
from channels_app.audit import log
from channels_app.models import Channel
from hub.errors import unprocessable
from hub.locks import lock_until_commit
from publishing.index import builds
from publishing.models import ChannelRelations
from publishing.relations.graph import DEPTH_MAX, CyclicError, Graph, Related, TooDeepError, order

FIELDS = ("base", "overrides")


def of(channel: Channel) -> ChannelRelations:
    """Return the stored relations, or new ones without any."""
    found = ChannelRelations.objects.select_related("channel", *FIELDS).filter(channel=channel).first()
    return found or ChannelRelations(channel=channel)


@transaction.atomic
def change(*, actor: Actor, channel: Channel, base: str = "", overrides: str = "") -> ChannelRelations:
    """Set the related channels by their names; empty means none. The next builds list them.

    Raise HubError 403 or 404 for a channel that the actor can't read, and 422 if clients could not follow it.
    """
    locked = acts.lock_channel(Action.RELATION_CHANGE, actor, channel)
    # Two changes at once, each without the other, could close a cycle.
    lock_until_commit("relations")
    relations = of(locked)
    before = _named(relations)
    relations.base, relations.overrides = (_related(actor, locked, name) for name in (base, overrides))
    if relations.base and relations.base == relations.overrides:
        raise unprocessable("bad_relation", f"'{base}' can't be the base and overridden at once. Choose one of them.")
    after = _named(relations)
    changed = {name: {"from": before[name], "to": after[name]} for name in FIELDS if before[name] != after[name]}
    if changed:
        relations.save()
        if problem := _refresh(relations, graph()):
            raise unprocessable("bad_relation", problem)
        log.record(Action.RELATION_CHANGE, by=actor, channel=locked, target=locked.name, detail=changed)
    return relations


def refresh_all() -> None:
    """Update the channels that the index files list, after changes of related channels."""
    found = graph()
    for relations in ChannelRelations.objects.select_related("channel", *FIELDS).order_by("channel"):
        with transaction.atomic():
            _refresh(relations, found)


def graph() -> Graph:
    """Return the relations of all channels of the hub."""
    rows = ChannelRelations.objects.values_list("channel", *FIELDS)
    return {channel: Related(base, overrides) for channel, base, overrides in rows}


def problem_of(relations: ChannelRelations, found: Graph) -> str:
    """Return why clients could not follow the relations, as a sentence, or an empty text."""
    channel = relations.channel
    for related in _channels(relations):
        if related.deleted_at:
            return f"'{related}' was deleted. Choose another channel."
        if related.is_private and not channel.is_private:
            return f"'{related}' is private, but '{channel}' is public: not all of its users could read both."
    try:
        order(found, relations.channel_id)
    except CyclicError:
        return "A related channel leads back to this one, so clients find no order. Choose another channel."
    except TooDeepError:
        return f"Clients follow {DEPTH_MAX} relations at most; a related channel leads further. Choose another channel."
    return ""


def _refresh(relations: ChannelRelations, found: Graph) -> str:
    """Store the listed channels, and mark the indexes stale if it differs. Return the problem, if there is one."""
    problem = problem_of(relations, found)
    named = {} if problem else {name: f"../{value}" for name, value in _named(relations).items() if value}
    if named != relations.listed:
        relations.listed = named
        relations.save(update_fields=["listed"])
        subdirs = relations.channel.indexes.filter(label="").exclude(subdir=builds.WHOLE_CHANNEL).order_by("subdir")
        for subdir in subdirs.values_list("subdir", flat=True):
            builds.schedule_build(relations.channel, subdir, [])
    return problem


def _related(actor: Actor, channel: Channel, name: str) -> Channel | None:
    if name == channel.name:
        raise unprocessable("bad_relation", f"'{name}' can't be related to itself. Choose another channel.")
    return channel_for(actor, name, Permission.READ) if name else None


def _channels(relations: ChannelRelations) -> Iterable[Channel]:
    return (channel for channel in (relations.base, relations.overrides) if channel)


def _named(relations: ChannelRelations) -> dict[str, str]:
    return {name: channel.name if (channel := getattr(relations, name)) else "" for name in FIELDS}
