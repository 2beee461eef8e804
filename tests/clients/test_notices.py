"""Test of notices with py-rattler, which reads notices.json before it resolves."""

from datetime import UTC, datetime, timedelta

from tests.clients.conftest import Keys
from tests.clients.plain import seconds_until
from tests.clients.reader import Reader
from tests.live import LiveHub

ADD = """
from channels_app.access.permissions import Actor
from publishing.notices import notices
owner, channel = User.objects.get(username="olga"), Channel.objects.get(name="noticed")
for level, message in {notices!r}:
    expires_at = datetime.fromisoformat("{expires_at}")
    notices.add(actor=Actor(user=owner), channel=channel, level=level, message=message, expires_at=expires_at)
"""


def test_client_shows_the_notices_of_the_channel(hub: LiveHub, keys: Keys) -> None:
    hub.manage("createchannel", "noticed", "--owner", "olga")
    reader = Reader(f"{hub.url}/noticed", credential={"BearerToken": keys.olga})
    assert reader.notices() == []
    given = [["warning", "Move to 2.0."], ["critical", "Two\nlines with \u00e9."]]
    expires_at = datetime.now(UTC) + timedelta(days=2)
    hub.shell("from datetime import datetime\n" + ADD.format(notices=given, expires_at=expires_at.isoformat()))
    seconds_until(lambda: len(reader.notices()) == len(given))
    assert reader.notices() == given
