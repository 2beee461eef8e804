"""Selections that are changed at the same moment."""

from functools import partial
from pathlib import Path

import pytest
from django.db import transaction

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Package, Removal, User
from channels_app.packages import packages
from publishing.models import SubdirIndex
from publishing.removal import removal
from publishing.selections import queries
from publishing.selections.acts import ACTS
from tests.builders import make_artifact
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db(transaction=True)


@transaction.atomic
def fill(channel: Channel, count: int) -> list[int]:
    files = [make_artifact(channel, f"demo-{number % 3}", f"1.{number}") for number in range(count)]
    packages.refresh_each(Package.objects.all())
    return [file.pk for file in files]


def apply(act: str, owner: User, channel: Channel, ids: list[int], expected: str) -> int:
    changed = ACTS[act].apply(
        actor=Actor(user=owner), channel=channel, selection=queries.ticked(channel, ids), expected=expected
    )
    return len(changed)


def results(channel: Channel, owner: User, folder: Path, *acts: tuple[str, list[int], str]) -> list[object]:
    """Return the results of the acts, then states, events and the revision of the index."""
    with shared_database(folder):
        found = at_once(*(partial(apply, act, owner, channel, ids, expected) for act, ids, expected in acts))
        return [*sorted(found, key=str), *at_once(stored)]


def stored() -> tuple[set[str], int, int]:
    events = AuditEvent.objects.filter(action__startswith="artifact.").count()
    states = set(Artifact.objects.values_list("removal", flat=True))
    return states, events, SubdirIndex.objects.get().requested_revision


def test_of_two_acts_on_one_preview_the_second_is_refused(channel: Channel, olga: User, tmp_path: Path) -> None:
    ids = fill(channel, 20)
    seen = removal.fingerprint(list(Artifact.objects.order_by("pk")))
    after = SubdirIndex.objects.get().requested_revision + 1
    found = results(channel, olga, tmp_path, ("yank", ids, seen), ("delete", ids, seen))
    assert found in [[20, "selection_changed", ({state}, 20, after)] for state in (Removal.YANKED, Removal.DELETED)]


def test_overlapping_selections_change_each_file_once(channel: Channel, olga: User, tmp_path: Path) -> None:
    ids = fill(channel, 30)
    after = SubdirIndex.objects.get().requested_revision + 2
    found = results(channel, olga, tmp_path, ("yank", ids[:20], ""), ("yank", ids[:9:-1], ""))
    assert found == [10, 20, ({Removal.YANKED}, 30, after)]
