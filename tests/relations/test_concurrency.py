"""Relations that are changed at the same moment."""

from functools import partial
from pathlib import Path

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.models import ChannelRelations
from publishing.relations import relations
from tests.builders import make_channel
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db(transaction=True)
TRIES = 20


def name_each_other(channel: Channel, other: Channel, owner: User) -> list[object]:
    """Make each channel the base of the other at once. Return the results, then the number of saved bases."""
    actor = Actor(user=owner)
    changes = [
        partial(relations.change, actor=actor, channel=each, base=base.name)
        for each, base in [(channel, other), (other, channel)]
    ]
    return [*at_once(*changes), *at_once(ChannelRelations.objects.exclude(base=None).count)]


def test_of_two_channels_that_name_each_other_at_once_one_is_refused(
    channel: Channel, olga: User, tmp_path: Path
) -> None:
    other = make_channel("other", owner=olga, is_private=channel.is_private)
    with shared_database(tmp_path):
        for _ in range(TRIES):
            found = name_each_other(channel, other, olga)
            assert "bad_relation" in found
            assert found[-1] == 1
            at_once(ChannelRelations.objects.all().delete)
