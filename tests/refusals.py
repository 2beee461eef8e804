"""Refusals of changes to memberships, for tests of the functions behind the pages."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from channels_app.models import Invitation, Member, TeamMember
from hub.errors import HubError


@contextmanager
def refused(status: int, code: str, sentence: str) -> Iterator[None]:
    """Expect an error by status, code and a part of its sentence, and expect unchanged memberships and invitations."""
    before = _people()
    with pytest.raises(HubError) as caught:
        yield
    assert (caught.value.status, caught.value.code) == (status, code)
    assert sentence in caught.value.detail
    assert _people() == before


def _people() -> tuple[list[object], ...]:
    """Return all members, team members and invitations."""
    return (
        list(Member.objects.order_by("pk").values_list("channel", "user", "team", "role")),
        list(TeamMember.objects.order_by("pk").values_list("team__name", "user", "is_manager")),
        list(Invitation.objects.order_by("pk").values_list("channel", "to_team", "invitee_name", "role")),
    )
