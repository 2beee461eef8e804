"""Publishers for channels that do not exist yet, by `/api/v1/pending-publishers`."""

from typing import Any

import pytest

from channels_app.models import User
from publishing.models import TrustedPublisher
from tests.builders import make_channel
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
NEW: dict[str, Any] = {
    "channel_name": "new-channel",
    "provider": "buildkite",
    "fields": {"pipeline": "acme-inc/sample"},
    "package_globs": ["pack-*"],
}


def test_pending_publisher_is_added_listed_and_removed(olga: User, sam: User) -> None:
    caller = by_session(olga)
    added = caller.post("pending-publishers", NEW)
    assert added.status_code == 201
    publisher = TrustedPublisher.objects.get()
    path = f"pending-publishers/{publisher.pk}"
    assert added.headers["Location"] == f"/api/v1/{path}"
    assert (publisher.channel_name, publisher.created_by, publisher.package_globs) == ("new-channel", olga, ["pack-*"])
    assert caller.get(path).json() == added.json()
    assert caller.get("pending-publishers").json()["items"] == [added.json()]
    assert by_session(sam).get("pending-publishers").json()["items"] == []
    assert code(by_session(sam).delete(path)) == (404, "not_found")
    assert caller.delete(path).status_code == 204
    assert not TrustedPublisher.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "expected"),
    [
        ({"provider": "none"}, 422, "unknown_provider"),
        ({"issuer": "https://elsewhere.example"}, 422, "unknown_issuer"),
        ({"fields": {}}, 422, "bad_publisher"),
        ({"pins": {"none": "1"}}, 422, "bad_publisher"),
        ({"package_globs": ["a" * 65]}, 400, "bad_globs"),
        ({"channel_name": "taken"}, 409, "channel_exists"),
    ],
)
def test_pending_publisher_with_bad_values_is_refused(
    olga: User, change: dict[str, Any], status: int, expected: str
) -> None:
    make_channel("taken")
    assert code(by_session(olga).post("pending-publishers", NEW | change)) == (status, expected)


def test_pending_publishers_are_refused_to_keys(olga: User) -> None:
    caller = by_key(olga, "read", "upload", "delete", "manage")
    assert code(caller.post("pending-publishers", NEW)) == (403, "person_needed")
    assert code(caller.get("pending-publishers")) == (403, "person_needed")
