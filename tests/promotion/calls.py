"""Calls of promotions in tests."""

from collections.abc import Callable
from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.errors import HubError
from publishing.models import Promotion
from publishing.promotion import promotions
from publishing.promotion.plan import Wanted


def promote(
    source: Channel, target: Channel, by: User | Actor, selected: dict[str, Any] | None = None, **wanted: Any
) -> Promotion:
    """Promote all files of the source, or the selected ones."""
    actor = by if isinstance(by, Actor) else Actor(user=by)
    selection = source.artifacts.filter(**selected or {})
    return promotions.promote(wanted=Wanted(actor, source, target, **wanted), selection=selection)


def refusal(call: Callable[[], object]) -> tuple[int, str]:
    """Return status and code of the error that the call raises."""
    with pytest.raises(HubError) as refused:
        call()
    return refused.value.status, refused.value.code
