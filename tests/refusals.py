"""Refusals that tests of people expect of the code beneath the pages."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from channels_app.models import Invitation, Member, TeamMember
from hub.errors import HubError


@contextmanager
def refused(status: int, code: str, sentence: str) -> Iterator[None]:
    """Expect an error by its status, its code and a part of its sentence, and everybody where they were."""
    before = _people()
    with pytest.raises(HubError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code)
    assert sentence in caught.value.detail
    assert _people() == before


def _people() -> tuple[list[object], ...]:
    """List who is a member, who is in a team, and who is asked."""
    return (
        list(Member.objects.order_by("pk").values_list("channel", "user", "team", "role")),
        list(TeamMember.objects.order_by("pk").values_list("team__name", "user", "is_manager")),
        list(Invitation.objects.order_by("pk").values_list("channel", "into", "who", "role")),
    )
