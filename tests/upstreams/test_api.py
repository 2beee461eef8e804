"""REST endpoints of upstream channels."""

import pytest

from channels_app.access.permissions import Permission
from channels_app.models import Channel, User
from publishing.models import Upstream
from tests.builders import make_user
from tests.rest.calls import by_key, by_session, code
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import poll

pytestmark = pytest.mark.django_db
PATH = "channels/mirror/upstream"


def settings(url: str, **more: object) -> dict[str, object]:
    return {"url": url, "subdirs": ["noarch"], "cooldown_days": 3} | more


def test_administrator_creates_an_upstream_channel(forge: FakeUpstream) -> None:
    ada = make_user("ada", is_superuser=True)
    answer = by_session(ada).post("upstreams", settings(forge.url, name="forge", credential="secret"))
    assert answer.status_code == 201
    assert answer.json()["has_credential"]
    assert "secret" not in answer.content.decode()


def test_user_creates_no_upstream_channel(forge: FakeUpstream, olga: User) -> None:
    answer = by_session(olga).post("upstreams", settings(forge.url, name="forge"))
    assert code(answer) == (403, "administrators_only")


@pytest.mark.parametrize(
    "url",
    ["https://[::", "https://a\uff0fb/x", "https://a:99999/x", "https://a/\u202e", "https://a/b c", "https://a\n/x"],
)
def test_url_that_can_not_be_requested_is_refused(url: str) -> None:
    answer = by_session(make_user("ada", is_superuser=True)).post("upstreams", settings(url, name="forge"))
    assert code(answer) == (400, "bad_upstream")


def test_owner_changes_the_settings(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    exceptions = [{"names": "open*", "reason": "security"}]
    answer = by_session(olga).put(PATH, settings(forge.url, exceptions=exceptions))
    assert answer.json()["exceptions"] == exceptions
    assert Upstream.objects.get().cooldown_days == 3
    assert code(by_session(olga).put(PATH, settings(forge.url, subdirs=["x-1"]))) == (400, "bad_upstream")


@pytest.mark.parametrize(
    ("names", "reason"), [("openssl *", "security"), ("openssl", "security\n* everything"), ("a\u2028*", "x")]
)
def test_exception_that_the_page_would_show_as_others_is_refused(
    olga: User, mirror: Channel, forge: FakeUpstream, names: str, reason: str
) -> None:
    answer = by_session(olga).put(PATH, settings(forge.url, exceptions=[{"names": names, "reason": reason}]))
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_upstream")


def test_state_and_hidden_records_are_listed(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("zlib"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("zlib"), record("numpy"))
    poll(mirror)
    caller = by_key(olga, Permission.READ, Permission.MANAGE)
    state = caller.get(f"{PATH}/state").json()
    assert (state["names"], state["records"], state["waiting"], state["error_code"]) == (2, 2, 1, "")
    [hidden] = caller.get(f"{PATH}/hidden").json()["items"]
    assert (hidden["name"], hidden["records"][0]["reason"]) == ("numpy", "waiting")


def test_key_lets_the_upstream_be_polled(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    poll(mirror)
    answer = by_key(olga, Permission.READ, Permission.MANAGE).post(f"{PATH}/poll", {})
    assert answer.status_code == 202
    assert Upstream.objects.get().polled_at is None


def test_channel_without_upstream_is_404(channel: Channel, olga: User) -> None:
    assert code(by_session(olga).get("channels/demo/upstream")) == (404, "no_upstream")


def test_stranger_sees_no_private_upstream(mirror: Channel, sam: User) -> None:
    Channel.objects.update(is_private=True)
    assert code(by_session(sam).get(PATH)) == (403, "no_access")
