"""Pages of upstream channels."""

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.models import AuditEvent, Channel, ChannelKind, User
from publishing.models import Upstream, UpstreamName
from publishing.upstreams import credentials
from tests.builders import make_member, make_user
from tests.pages import signed_in, text
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import poll

pytestmark = pytest.mark.django_db
NEW = "/channels/new/upstream"
PAGE = "/channels/mirror/settings/upstream"


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada", is_superuser=True)


def fields(address: str, **more: object) -> dict[str, object]:
    values = {"url": address, "subdirs": "noarch linux-64", "poll_minutes": 5, "cooldown_days": 7, "max_cached_gib": 2}
    return values | {"exceptions": "openssl CVE-2026-1\n", "action": "save"} | more


def test_administrator_creates_an_upstream_channel(ada: User, forge: FakeUpstream) -> None:
    new = fields(forge.url + "/", name="forge", is_private="public", credential="user:secret")
    answer = signed_in(ada).post(NEW, new)
    assert answer.status_code == 302
    upstream = Upstream.objects.get(channel__name="forge")
    assert upstream.channel.kind == ChannelKind.UPSTREAM
    assert (upstream.url, upstream.cooldown_days, upstream.max_cached_bytes) == (forge.url, 7, 2 * 2**30)
    assert (upstream.exceptions, upstream.subdirs) == ([["openssl", "CVE-2026-1"]], ["noarch", "linux-64"])
    assert "secret" not in upstream.encrypted_credential
    assert credentials.of(upstream) == "user:secret"


def test_user_creates_no_upstream_channel(olga: User, forge: FakeUpstream) -> None:
    client = signed_in(olga)
    assert client.get(NEW).status_code == 403
    assert client.post(NEW, fields(forge.url, name="forge", is_private="public")).status_code == 403
    assert not Channel.objects.filter(name="forge").exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://conda.example.org/x",
        "https://user:secret@example.org/x",
        "https://example.org/x?a=b",
        "https://conda.example.org/t/secret/x",
        "ftp://example.org/x",
        "http://testserver/demo",
    ],
)
def test_bad_url_is_refused_in_the_form(ada: User, url: str) -> None:
    answer = signed_in(ada).post(NEW, fields(url, name="forge", is_private="public"))
    assert answer.status_code == 200
    assert not Channel.objects.filter(name="forge").exists()


@pytest.mark.parametrize("page", [NEW, PAGE])
@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "ftp://example.org/x"), ("subdirs", "osx64"), ("exceptions", "openssl"), ("credential", "schlüssel")],
)
def test_invalid_setting_is_shown_at_its_field(
    ada: User, mirror: Channel, forge: FakeUpstream, page: str, field: str, value: str
) -> None:
    answer = signed_in(ada).post(page, fields(forge.url, name="forge", is_private="public") | {field: value})
    assert list(answer.context["form"].errors) == [field]


def test_platforms_are_separated_by_commas_or_spaces(ada: User, mirror: Channel, forge: FakeUpstream) -> None:
    assert signed_in(ada).post(PAGE, fields(forge.url, subdirs="noarch, linux-64,osx-64")).status_code == 302
    assert Upstream.objects.get().subdirs == ["noarch", "linux-64", "osx-64"]


@pytest.mark.parametrize("was_read", [True, False])
def test_page_of_a_failing_upstream_tells_whether_an_index_is_left(ada: User, mirror: Channel, was_read: bool) -> None:
    now = timezone.now()
    Upstream.objects.update(failing_since=now, error="It is down.", succeeded_at=now if was_read else None)
    shown = text(signed_in(ada).get("/channels/mirror"))
    assert ("The last index and cached packages go on." in shown) == was_read
    assert "It is down." in shown


def test_http_url_is_refused_with_the_setting_that_allows_it(ada: User) -> None:
    answer = signed_in(ada).post(NEW, fields("http://conda.lan:8080/x", name="forge", is_private="public"))
    assert "the operator adds conda.lan:8080 to HUB_INTERNAL_HOSTS" in text(answer)


def test_activity_shows_exceptions_with_their_reasons(ada: User, mirror: Channel, forge: FakeUpstream) -> None:
    signed_in(ada).post(NEW, fields(forge.url + "/", name="forge", is_private="public"))
    signed_in(ada).post(PAGE, fields(forge.url, exceptions="zlib CVE-2026-2\ncurl CVE-2026-3"))
    assert "openssl CVE-2026-1" in text(signed_in(ada).get("/channels/forge/settings/activity"))
    assert "none → zlib CVE-2026-2, curl CVE-2026-3" in text(signed_in(ada).get("/channels/mirror/settings/activity"))


def test_changed_cooldown_hides_new_records_on_the_page(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("zlib"))
    poll(mirror)
    upstream = Upstream.objects.get()
    client = signed_in(olga)
    gib = round(upstream.max_cached_bytes / 2**30, 3)
    assert 'value="50"' in text(client.get(PAGE))
    assert client.post(PAGE, fields(forge.url, subdirs="noarch", max_cached_gib=gib)).status_code == 302
    [event] = AuditEvent.objects.filter(action="upstream.change")
    assert event.detail["cooldown_days"] == {"from": 0, "to": 7}
    forge.publish(record("zlib"), record("numpy"))
    poll(mirror)
    page = text(client.get(PAGE)).replace("<wbr>", "")
    assert "numpy-1.0-0.conda" in page
    assert "The API lists all of them" not in page
    assert "1 record waits" in text(Client().get("/channels/mirror"))


def test_owner_without_administration_changes_neither_url_nor_limit(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    client = signed_in(olga)
    for more in ({"url": "https://example.org/x"}, {"max_cached_gib": 900}, {"credential": "token"}):
        assert (
            client.post(PAGE, fields(forge.url, subdirs="noarch", **({"max_cached_gib": 50} | more))).status_code == 200
        )
    upstream = Upstream.objects.get()
    assert (upstream.url, upstream.encrypted_credential, upstream.cooldown_days) == (forge.url, "", 0)


def test_shorter_cooldown_lists_waiting_records(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("zlib"))
    poll(mirror)
    forge.publish(record("zlib"), record("numpy"))
    poll(mirror)
    assert UpstreamName.objects.get(name="numpy").waiting_count == 1
    signed_in(olga).post(PAGE, fields(forge.url, subdirs="noarch", max_cached_gib=50, cooldown_days=0))
    poll(mirror)
    assert UpstreamName.objects.get(name="numpy").waiting_count == 0


def test_maintainer_polls_but_does_not_change(mirror: Channel, forge: FakeUpstream) -> None:
    mia = make_user("mia")
    make_member(mirror, mia, "maintainer")
    poll(mirror)
    client = signed_in(mia)
    assert client.post(PAGE, {"action": "poll"}).status_code == 302
    assert Upstream.objects.get().polled_at is None
    assert client.post(PAGE, fields(forge.url)).status_code in (200, 302, 403)
    assert Upstream.objects.get().cooldown_days == 0


def test_channel_page_tells_since_when_the_upstream_fails(mirror: Channel, forge: FakeUpstream) -> None:
    poll(mirror)
    assert "The upstream has failed since" in text(Client().get("/channels/mirror"))


@pytest.mark.parametrize("kind", ["upstream", "virtual"])
def test_owner_opens_the_general_settings_of_a_channel_without_uploads(mirror: Channel, olga: User, kind: str) -> None:
    Channel.objects.filter(pk=mirror.pk).update(kind=kind)
    client = signed_in(olga)
    assert client.get("/channels/mirror/settings").status_code == 200
    assert client.post("/channels/mirror/settings", {"description": "x", "visibility": "public"}).status_code == 302


def test_channel_page_counts_no_packages_of_an_upstream(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("zlib"))
    poll(mirror)
    page = text(Client().get("/channels/mirror"))
    assert "0 packages" not in page
    assert "1 name, 1 record" in page


def test_page_of_a_channel_without_upstream_is_404(channel: Channel, olga: User) -> None:
    assert signed_in(olga).get("/channels/demo/settings/upstream").status_code == 404
