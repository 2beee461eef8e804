"""A clock that tests set, and the nights of retention."""

from datetime import UTC, datetime, timedelta

import pytest

from channels_app.access.permissions import ANONYMOUS
from channels_app.models import Artifact, Channel
from publishing import tasks
from publishing.retention import retention

# After the real time: messages of the outbox are due at the database's own time.
NOON = datetime(2050, 10, 5, 12, tzinfo=UTC)


class Clock:
    """The time of django.utils.timezone.now()."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.ran_at = NOON
        monkeypatch.setattr("django.utils.timezone.now", lambda: self.now)

    def ago(self, days: float) -> datetime:
        return self.now - timedelta(days=days)

    def set_hour(self, hour: float, *, days: int = 0) -> None:
        """Go to an hour of the day that lies `days` ahead."""
        day = self.now.replace(hour=0, minute=0, second=0)
        self.now = day + timedelta(days=days, hours=hour)

    def pass_night(self, channel: Channel) -> dict[str, str]:
        """Let the job run in the next night. Return the files whose states changed, with their states after it."""
        before = states(channel)
        self.set_hour(4, days=1)
        self.ran_at = self.now
        tasks.apply_retention_rules(channel.pk)
        after = states(channel)
        self.set_hour(12)
        return {name: after[name] for name in after if after[name] != before[name]}


def states(channel: Channel) -> dict[str, str]:
    rows = Artifact.objects.filter(channel=channel).values_list("subdir", "file_name", "removal")
    return {f"{subdir}/{file_name}": removal for subdir, file_name, removal in rows}


def planned(channel: Channel) -> dict[str, str]:
    """Return the states after the next night, as the dry run shows them."""
    states_after = {"yank": "yanked", "delete": "deleted"}
    return {
        f"{choice.file.subdir}/{choice.file.file_name}": states_after[choice.act]
        for choice in retention.planned(ANONYMOUS, channel).choices
    }


def milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
