"""`/api/v1/channels/CHANNEL/notices`."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels_app.models import Channel, User
from publishing.models import ChannelNotice
from tests.builders import make_channel
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
NOTICES = "channels/demo/notices"


def body(**values: str) -> dict[str, str]:
    expires_at = (timezone.now() + timedelta(days=3)).isoformat()
    return {"level": "info", "message": "Maintenance on Sunday.", "expires_at": expires_at} | values


def test_notice_is_added_listed_changed_and_removed(channel: Channel, olga: User) -> None:
    for caller in (by_session(olga), by_key(olga, "read", "manage")):
        added = caller.post(NOTICES, body())
        assert added.status_code == 201
        assert added.json()["created_by"] == "olga"
        path = added.headers["Location"].removeprefix("/api/v1/")
        assert caller.get(NOTICES).json()["items"] == [caller.get(path).json()] == [added.json()]
        changed = caller.patch(path, {"level": "critical"})
        assert (changed.json()["level"], changed.json()["uid"]) == ("critical", added.json()["uid"])
        assert caller.delete(path).status_code == 204
        assert code(caller.get(path)) == (404, "no_such_notice")


def test_change_with_old_etag_is_refused(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    path = caller.post(NOTICES, body()).headers["Location"].removeprefix("/api/v1/")
    etag = caller.get(path).headers["ETag"]
    assert caller.patch(path, {"level": "warning"}, **{"If-Match": etag}).status_code == 200
    assert code(caller.patch(path, {"level": "info"}, **{"If-Match": etag})) == (412, "changed_meanwhile")


@pytest.mark.parametrize(
    "values", [{"level": "fatal"}, {"message": ""}, {"message": "x" * 1001}, {"expires_at": "2020-01-01"}]
)
def test_bad_notice_is_refused(channel: Channel, olga: User, values: dict[str, str]) -> None:
    assert code(by_session(olga).post(NOTICES, body(**values)))[0] == 422
    assert not ChannelNotice.objects.exists()


def test_notice_of_another_channel_is_not_found(channel: Channel, olga: User, sam: User) -> None:
    make_channel("sams", owner=sam)
    notice_id = by_session(olga).post(NOTICES, body()).json()["id"]
    path = f"channels/sams/notices/{notice_id}"
    for answer in (
        by_session(sam).get(path),
        by_session(sam).patch(path, {"level": "info"}),
        by_session(sam).delete(path),
    ):
        assert code(answer) == (404, "no_such_notice")
    assert ChannelNotice.objects.count() == 1
