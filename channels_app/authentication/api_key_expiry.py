"""Notifications to the owners of API keys that expire soon, one for each key."""

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from channels_app.access.actions import Action
from channels_app.audit import log
from channels_app.authentication import api_keys
from channels_app.models import ApiKey, KeyKind

WARNED_BEFORE = timedelta(days=7)


def warn() -> None:
    """Notify the owners of keys that expire within WARNED_BEFORE.

    Keys with a shorter lifetime than that are skipped: their owner chose the date recently.
    """
    soon = api_keys.usable().filter(
        expires_at__lt=timezone.now() + WARNED_BEFORE,
        expires_at__gt=F("created_at") + WARNED_BEFORE,
        warned_at=None,
        robot_of__deleted_at=None,
    )
    for key in soon.exclude(kind=KeyKind.SHORT_LIVED).select_related("robot_of"):
        _warn_of(key)


@transaction.atomic
def _warn_of(key: ApiKey) -> None:
    if ApiKey.objects.filter(pk=key.pk, warned_at=None, revoked_at=None).update(warned_at=timezone.now()):
        last_used = key.last_used_at and key.last_used_at.isoformat(timespec="seconds")
        detail = api_keys.audit_detail(key) | {"last_used_at": last_used}
        log.record(Action.KEY_EXPIRES, target=key.name, channel=key.robot_of, detail=detail)
