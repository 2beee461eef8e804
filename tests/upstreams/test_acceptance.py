"""Acceptance of changed records: the act, its access, and the bytes that clients get."""

import pytest
from django.test import Client

from channels_app.access.permissions import Permission
from channels_app.models import AuditEvent, Channel, User
from hub.storage import store
from publishing.index import builds
from publishing.models import CachedFile, Upstream
from publishing.templatetags.upstreams import RECORDS_SHOWN
from publishing.upstreams import queries
from tests.builders import make_member, make_user
from tests.pages import signed_in, text
from tests.rest.calls import by_key, by_session, code
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import listed, poll

pytestmark = pytest.mark.django_db
FILE = "numpy-1.0-0.conda"
PAGE = "/channels/mirror/settings/upstream"
PATH = "channels/mirror/upstream/accept"
OLD, NEW, NEWER = b"old bytes of numpy", b"new bytes of numpy", b"newer bytes of numpy"


@pytest.fixture
def changed(mirror: Channel, forge: FakeUpstream) -> Channel:
    """Return the channel. Its cache has numpy's first bytes when the upstream changes them."""
    forge.publish(forge.add_package("numpy", OLD))
    poll(mirror)
    assert download() == (200, OLD)
    forge.publish(forge.add_package("numpy", NEW))
    poll(mirror)
    assert download() == (404, b"held_back")
    return mirror


def download() -> tuple[int, bytes]:
    """Return the status of a download of numpy, and its bytes or its error code."""
    answer = Client().get(f"/mirror/noarch/{FILE}")
    is_found = answer.status_code == 200
    return answer.status_code, answer.getvalue() if is_found else answer["X-Error-Code"].encode()


def acceptance(content: bytes, **more: str) -> dict[str, str]:
    sha256 = record("numpy", content=content)["sha256"]
    return {"subdir": "noarch", "file_name": FILE, "sha256": sha256, "reason": "built again"} | more


def test_accepted_record_is_served_from_new_bytes_and_a_further_change_is_held_back(
    changed: Channel, forge: FakeUpstream, olga: User, django_capture_on_commit_callbacks: object
) -> None:
    client = signed_in(olga)
    assert acceptance(NEW)["sha256"] in text(client.get(PAGE))
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        assert client.post(PAGE, acceptance(NEW) | {"action": "accept"}).status_code == 302
    assert not CachedFile.objects.exists()
    assert store().stat(f"mirror/noarch/{FILE}") is None
    assert download() == (200, NEW)
    builds.build_channel(changed)
    assert listed(changed)[FILE]["sha256"] == acceptance(NEW)["sha256"]
    [event] = AuditEvent.objects.filter(action="upstream.accept")
    assert (event.target, event.detail["reason"]) == (f"noarch/{FILE}", "built again")
    assert event.detail["accepted_sha256"] == {"from": acceptance(OLD)["sha256"], "to": acceptance(NEW)["sha256"]}
    forge.publish(forge.add_package("numpy", NEWER))
    poll(changed)
    assert download() == (404, b"held_back")
    assert AuditEvent.objects.filter(action="upstream.hold").count() == 2


def test_pages_link_managers_to_the_held_record_and_clients_to_an_owner(changed: Channel, olga: User) -> None:
    link = f'href="{PAGE}#hidden"'
    for page in ("/channels/mirror", "/channels/mirror/packages/numpy", "/channels/mirror/packages/numpy/1.0"):
        assert link in text(signed_in(olga).get(page))
        assert link not in text(Client().get(page))
    # On a phone the form has the whole width.
    assert 'class="wide" data-label="Why"' in text(signed_in(olga).get(PAGE))
    assert "Ask an owner of the channel." in text(Client().get(f"/mirror/noarch/{FILE}"))


def test_accepted_bytes_are_verified_against_the_new_sha256(changed: Channel, forge: FakeUpstream, olga: User) -> None:
    assert by_session(olga).post(PATH, acceptance(NEW)).json()["records"] == []
    forge.files[f"noarch/{FILE}"] = b"OTHER bytes of it."
    assert download() == (502, b"upstream_wrong_bytes")


def test_accepted_record_waits_for_the_cooldown(changed: Channel, olga: User) -> None:
    Upstream.objects.update(cooldown_days=7)
    [waiting] = by_session(olga).post(PATH, acceptance(NEW)).json()["records"]
    assert (waiting["file_name"], waiting["reason"]) == (FILE, "waiting")
    assert download() == (404, b"cooling_down")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"sha256": "0" * 64}, (409, "other_sha256")),
        ({"file_name": "zlib-1.0-0.conda"}, (404, "no_such_file")),
        ({"file_name": "numpy-2.0-0.conda"}, (404, "no_such_file")),
        ({"file_name": "numpy"}, (404, "no_such_file")),
        ({"subdir": "linux-64"}, (404, "no_such_file")),
        ({"reason": " "}, (400, "bad_reason")),
        ({"reason": "a\nb"}, (400, "bad_reason")),
    ],
)
def test_other_than_the_held_record_is_not_accepted(
    changed: Channel, olga: User, more: dict[str, str], expected: tuple[int, str]
) -> None:
    assert code(by_session(olga).post(PATH, acceptance(NEW, **more))) == expected
    assert download() == (404, b"held_back")


def test_record_that_did_not_change_is_not_accepted(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy", content=OLD))
    poll(mirror)
    assert code(by_session(olga).post(PATH, acceptance(OLD))) == (409, "not_held_back")


def test_error_of_an_acceptance_is_shown_on_the_page(changed: Channel, olga: User) -> None:
    shown = text(signed_in(olga).post(PAGE, acceptance(NEWER) | {"action": "accept"}))
    assert "Look at it again." in shown


def test_record_to_accept_is_on_the_page_before_those_that_wait(
    changed: Channel, forge: FakeUpstream, olga: User
) -> None:
    Upstream.objects.update(cooldown_days=1)
    waiting = [record(f"a{number}") for number in range(queries.NAMES_SHOWN)]
    waiting += [record("numpy", f"0.{number}") for number in range(RECORDS_SHOWN)]
    forge.publish(forge.add_package("numpy", NEW), *waiting)
    poll(changed)
    assert "Accept the new SHA-256" in text(signed_in(olga).get(PAGE))


def test_only_owners_in_a_session_accept(changed: Channel, olga: User, sam: User) -> None:
    mia = make_user("mia")
    make_member(changed, mia, "maintainer")
    posted = acceptance(NEW) | {"action": "accept"}
    assert signed_in(mia).post(PAGE, posted).status_code == 403
    assert signed_in(sam).post(PAGE, posted).status_code == 403
    assert code(by_session(mia).post(PATH, acceptance(NEW))) == (403, "role_missing")
    assert by_key(olga, Permission.READ, Permission.MANAGE).post(PATH, acceptance(NEW)).status_code == 403
    Channel.objects.update(is_private=True)
    assert signed_in(sam).post(PAGE, posted).status_code == 404
    Channel.objects.update(is_private=False)
    assert download() == (404, b"held_back")
