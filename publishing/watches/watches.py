"""The watch of a channel's prefix: turned on and off by owners, and its refused files tried again."""

from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F

from channels_app.access import acts
from channels_app.access.actions import Action
from channels_app.access.permissions import (
    ANONYMOUS,
    Actor,
    Permission,
    check_own_packages,
    lock_channel,
)
from channels_app.audit import log
from channels_app.models import Channel
from hub.celery import send
from hub.errors import conflict, not_found
from publishing.models import Watch
from publishing.uploads.policies import check_uploader
from publishing.watches import passes


def of(channel: Channel) -> Watch:
    """Return the watch of the channel. Raise HubError 404 if it is off."""
    found = Watch.objects.select_related("channel", "created_by").filter(channel=channel).first()
    if found is None:
        raise not_found("no_watch", f"'{channel}' does not watch its prefix of the store.")
    return found


def start(*, actor: Actor, channel: Channel) -> Watch:
    """Turn the watch on; the first pass begins at once. Raise HubError 403 or 409."""
    with transaction.atomic():
        locked = acts.lock_channel(Action.WATCH_CHANGE, actor, channel)
        check_own_packages(locked)
        check_uploader(ANONYMOUS, locked, "")
        if Watch.objects.filter(channel=locked).exists():
            return of(locked)
        if Watch.objects.filter(channel__deleted_at=None).count() >= settings.HUB_WATCHED_CHANNELS:
            raise conflict(
                "watches_limit",
                f"{settings.HUB_WATCHED_CHANNELS} channels of this hub watch their prefix, the most that the operator "
                "allows (HUB_WATCHED_CHANNELS).",
            )
        Watch.objects.create(channel=locked, created_by=actor.user)
        log.record(Action.WATCH_CHANGE, by=actor, channel=locked, target="on", detail=_change("off", "on"))
        transaction.on_commit(partial(send, passes.TASK))
        return of(locked)


def stop(*, actor: Actor, channel: Channel) -> None:
    """Turn the watch off. Files that it took in stay. Raise HubError 404 if it is off."""
    with transaction.atomic():
        locked = acts.lock_channel(Action.WATCH_CHANGE, actor, channel)
        of(locked).delete()
        log.record(Action.WATCH_CHANGE, by=actor, channel=locked, target="off", detail=_change("on", "off"))


def retry(*, actor: Actor, channel: Channel) -> Watch:
    """Forget the refusals, so that the next pass checks the files again. Raise HubError 404 if the watch is off."""
    with transaction.atomic():
        watch = of(lock_channel(actor, channel, Permission.MANAGE))
        watch.refused.all().delete()
        Watch.objects.filter(pk=watch.pk).update(compared_at=None, retries=F("retries") + 1)
        transaction.on_commit(partial(send, passes.TASK))
    return watch


def _change(before: str, after: str) -> dict[str, dict[str, dict[str, str]]]:
    return {"changes": {"watch": {"from": before, "to": after}}}
