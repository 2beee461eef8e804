"""Changes of the notices of a channel, or of the hub if the channel is None.

Each ends in notices.json through the build of the whole channel's files. A notice of the hub can be for pages alone;
otherwise the notices.json of every channel has it.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from channels_app.access import administrators
from channels_app.access.actions import Action
from channels_app.access.permissions import Actor, Permission, lock_channel
from channels_app.audit import log
from channels_app.models import Channel
from hub.errors import conflict, unprocessable
from hub.plain_text import UNSEEN
from publishing.index import builds
from publishing.models import ChannelNotice, NoticeLevel
from publishing.notices import banner

NOTICES_MAX = 20
MESSAGE_MAX_CHARACTERS = 1000
LASTS_MAX = timedelta(days=366)
FIELDS = ("level", "message", "expires_at", "for_clients")


@transaction.atomic
def add(
    *, actor: Actor, channel: Channel | None, level: str, message: str, expires_at: datetime, for_clients: bool = True
) -> ChannelNotice:
    """Add a notice. Raise HubError 409 if the channel has 20, and 422 for a bad value."""
    locked = _locked(actor, channel)
    if locked and locked.notices.count() >= NOTICES_MAX:
        raise conflict("notices_limit", f"'{channel}' has {NOTICES_MAX} notices, the most there may be. Remove one.")
    values = _checked(level, message, expires_at, for_clients)
    notice = ChannelNotice.objects.create(channel=locked, created_by=actor.user, **values)
    notice.refresh_from_db()
    _end(Action.NOTICE_ADD, actor, notice, fields=_described(notice))
    return notice


@transaction.atomic
def change(*, actor: Actor, notice: ChannelNotice, **values: Any) -> ChannelNotice:
    """Set some of FIELDS. With another message, clients show the notice again."""
    _locked(actor, notice.channel)
    found = ChannelNotice.objects.select_for_update(no_key=True, of=("self",)).select_related("channel")
    locked = found.get(pk=notice.pk)
    before, was_for_clients = _described(locked), locked.for_clients
    wanted = _checked(**{name: values.get(name, getattr(locked, name)) for name in FIELDS})
    if wanted["message"] != locked.message:
        locked.uid = uuid.uuid4()
    for name, value in wanted.items():
        setattr(locked, name, value)
    after = _described(locked)
    changes = {name: {"from": before[name], "to": after[name]} for name in after if after[name] != before[name]}
    if changes:
        locked.save()
        _end(Action.NOTICE_CHANGE, actor, locked, was_for_clients=was_for_clients, changes=changes)
    return locked


@transaction.atomic
def remove(*, actor: Actor, notice: ChannelNotice) -> None:
    _locked(actor, notice.channel)
    _end(Action.NOTICE_REMOVE, actor, notice, fields=_described(notice))
    notice.delete()


@transaction.atomic
def delete_expired() -> int:
    """Delete the notices that have expired, and return their number."""
    expired = ChannelNotice.objects.filter(expires_at__lte=timezone.now())
    for channel in Channel.objects.filter(pk__in=expired.values("channel")):
        builds.schedule_build(channel, builds.WHOLE_CHANNEL, [])
    if expired.filter(channel=None, for_clients=True).exists():
        builds.schedule_channel_files()
    return expired.delete()[0]


def _locked(actor: Actor, channel: Channel | None) -> Channel | None:
    """Check the right to change the notices, and lock the channel if there is one."""
    if channel is None:
        administrators.check(actor, "change the notices of the hub")
        return None
    return lock_channel(actor, channel, Permission.MANAGE)


def _checked(level: str, message: str, expires_at: datetime, for_clients: bool) -> dict[str, Any]:
    message, now = message.replace("\r\n", "\n").strip(), timezone.now()
    if level not in NoticeLevel.values:
        raise unprocessable("bad_notice", f"Expected as level one of: {', '.join(NoticeLevel.values)}.")
    if not 0 < len(message) <= MESSAGE_MAX_CHARACTERS:
        raise unprocessable("bad_notice", f"The message has {len(message)} characters; expected 1 to 1,000.")
    if UNSEEN.search(message):
        raise unprocessable("bad_notice", "The message has invisible characters; terminals would obey them. Use text.")
    if not now < expires_at <= now + LASTS_MAX:
        raise unprocessable("bad_notice", "Expected as expiry a time within the next year.")
    expires_at = expires_at.replace(microsecond=0)
    return {"level": level, "message": message, "expires_at": expires_at, "for_clients": for_clients}


def _described(notice: ChannelNotice) -> dict[str, str]:
    shown = {"shown": "clients and pages" if notice.for_clients else "pages"} if notice.channel is None else {}
    return {
        "level": notice.level,
        "message": notice.message,
        "expires": notice.expires_at.isoformat(sep=" ", timespec="minutes"),
        **shown,
    }


def _end(action: Action, actor: Actor, notice: ChannelNotice, *, was_for_clients: bool = False, **detail: Any) -> None:
    """Record the event, and schedule the builds that bring the change to clients."""
    log.record(action, by=actor, channel=notice.channel, target=str(notice.uid), detail=detail)
    if notice.channel:
        builds.schedule_build(notice.channel, builds.WHOLE_CHANNEL, [])
        return
    transaction.on_commit(banner.forget)
    if notice.for_clients or was_for_clients:
        builds.schedule_channel_files()
