"""Work for a hidden channel: it equals that for a missing one, so the time discloses no channel."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from channels_app.access.permissions import Permission
from channels_app.models import Channel, User
from hub import protocols
from tests.builders import (
    make_artifact,
    make_channel,
    make_key,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
)
from tests.callers import bearing
from tests.pages import signed_in
from tests.routes import ARGUMENT, VALUES

pytestmark = pytest.mark.django_db

HIDDEN, MISSING = "hid-1", "mis-1"
CALLERS = ("anybody", "session", "key", "key of one channel", "robot", "application", "minted")
PLACES = (
    ("get", "/{}/noarch/repodata.json"),
    ("get", "/{}/noarch/pack-1.0-0.conda"),
    ("get", "/{}/label/dev/noarch/repodata.json"),
    ("get", "/{}/label/dev/noarch/pack-1.0-0.conda"),
    ("get", "/channels/{}"),
    ("get", "/channels/{}/packages/pack"),
    ("get", "/channels/{}/packages/pack/1.0"),
    ("get", "/channels/{}/settings/members"),
    ("get", "/channels/{}/feed"),
    ("delete", "/api/v1/delete/{}/noarch/pack-1.0-0.conda"),
    ("get", "/api/v1/channels/{}/publishers"),
    ("get", "/api/v1/channels/{}/artifacts/noarch/pack-1.0-0.conda/provenance"),
    ("get", "/api/v1/channels/{}/packages/pack/versions/1.0"),
    ("get", "/api/v1/channels/{}/members/users/olga"),
    ("get", "/api/v1/channels/{}/invitations"),
    ("get", "/api/v1/channels/{}/webhooks"),
    ("get", "/api/v1/channels/{}/webhooks/1/deliveries"),
    ("get", "/channels/{}/settings/webhooks/1"),
    ("get", "/api/v1/channels/{}/notices/1"),
    ("get", "/channels/{}/labels"),
    ("post", "/channels/{}/labels/dev"),
    ("get", "/api/v1/channels/{}/labels"),
    ("delete", "/api/v1/channels/{}/labels/dev"),
    ("get", "/channels/{}/settings/promotion-rules"),
    ("get", "/api/v1/channels/{}/promotion-rules"),
    ("post", "/api/v1/channels/{}/promotions/1/approve"),
    ("post", "/api/v1/channels/{}/promotions/1/refuse"),
    ("get", "/channels/{}/settings/imports"),
    ("get", "/channels/{}/settings/imports/1"),
    ("post", "/channels/{}/settings/imports/1"),
    ("get", "/api/v1/channels/{}/imports"),
    ("get", "/api/v1/channels/{}/imports/1"),
    ("get", "/api/v1/channels/{}/imports/1/refused"),
    ("post", "/api/v1/channels/{}/imports/1/stop"),
    ("post", "/api/v1/channels/{}/imports/1/resume"),
    ("get", "/channels/{}/settings/watch"),
    ("get", "/api/v1/channels/{}/watch"),
    ("get", "/api/v1/channels/{}/watch/refused"),
    ("post", "/api/v1/channels/{}/watch/retry"),
    ("get", "/channels/{}/promote"),
    ("post", "/channels/{}/promote"),
    ("get", "/channels/{}/settings/promotions"),
    ("get", "/channels/{}/settings/promotions/1"),
    ("post", "/channels/{}/settings/promotions/1"),
    ("get", "/api/v1/channels/{}/promotions"),
    ("get", "/api/v1/channels/{}/promotions/1"),
    ("post", "/api/v1/channels/{}/promotions/1/rollback"),
    ("get", "/api/v1/channels/{}/quota"),
    ("get", "/api/v1/channels/{}/patches"),
    ("post", "/api/v1/channels/{}/patches/1/undo"),
    ("get", "/channels/{}/settings/notices"),
    ("get", "/channels/{}/settings/relations"),
    ("get", "/channels/{}/settings/virtual"),
    ("get", "/api/v1/channels/{}/virtual"),
    ("get", "/api/v1/channels/{}/virtual/names"),
    ("get", "/channels/{}/settings/upstream"),
    ("get", "/channels/{}/settings/upstream/filters"),
    ("get", "/api/v1/channels/{}/upstream"),
    ("get", "/api/v1/channels/{}/upstream/filters"),
    ("get", "/api/v1/channels/{}/upstream/state"),
    ("get", "/api/v1/channels/{}/upstream/hidden"),
    ("get", "/api/v1/channels/{}/upstream/packages/pack"),
    ("post", "/api/v1/channels/{}/upstream/poll"),
    ("post", "/api/v1/channels/{}/upstream/accept"),
    ("get", "/channels/{}/settings/retention"),
    ("get", "/api/v1/channels/{}/retention-rules"),
    ("get", "/api/v1/channels/{}/retention-plan"),
    ("get", "/api/v1/channels/{}/relations"),
    ("get", "/channels/{}/settings/patches"),
    ("get", "/channels/{}/select"),
    ("post", "/channels/{}/select"),
    ("get", "/api/v1/channels/{}/activity/export"),
    ("get", "/api/v1/whoami?channel={}"),
    ("get", "/conda/{}/noarch/repodata.json"),
    ("get", "/anaconda/user/{}"),
    ("get", "/anaconda/package/{}/pack"),
    ("post", "/anaconda/package/{}/pack"),
    ("delete", "/anaconda/package/{}/pack"),
    ("get", "/anaconda/release/{}/pack/1.0"),
    ("get", "/anaconda/packages/{}"),
    ("get", "/anaconda/channels/{}"),
    ("get", "/anaconda/download/{}/pack/1.0/noarch/pack-1.0-0.conda"),
    ("post", "/anaconda/copy/package/{}/pack/1.0/"),
    ("get", "/anaconda/dist/{}/pack/1.0/noarch/pack-1.0-0.conda"),
    ("post", "/anaconda/stage/{}/pack/1.0/noarch/pack-1.0-0.conda"),
    ("post", "/anaconda/commit/{}/pack/1.0/noarch/pack-1.0-0.conda"),
    ("get", "/api/channels/{}"),
    ("delete", "/api/channels/{}"),
    ("get", "/api/channels/{}/members"),
    ("post", "/api/channels/{}/members"),
    ("get", "/api/channels/{}/packages"),
    ("get", "/api/channels/{}/packages/pack/versions"),
    ("get", "/api/channels/{}/packages/pack/versions/noarch/pack-1.0-0.conda"),
    ("delete", "/api/channels/{}/packages/pack/versions/noarch/pack-1.0-0.conda"),
    ("get", "/get/{}/noarch/repodata.json"),
    ("get", "/artifactory/{}/noarch/repodata.json"),
    ("get", "/artifactory/api/conda/{}/noarch/repodata.json"),
    *(
        (method, ARGUMENT.sub(lambda argument: VALUES[argument[1]], f"/{route}"))
        for upload in protocols.uploads()
        for method, route in ((upload.method.lower(), upload.route), ("get", f"{upload.route}/may"))
    ),
)


@pytest.fixture
def own(olga: User, sam: User) -> Channel:
    """The stranger's own channel, beside another's that is hidden."""
    make_artifact(make_channel(HIDDEN, owner=olga), "pack")
    return make_channel("sams", owner=sam)


def caller(name: str, own: Channel, sam: User) -> Client:
    scopes = (Permission.READ, Permission.UPLOAD, Permission.DELETE, Permission.MANAGE)
    match name:
        case "anybody":
            return Client()
        case "session":
            return signed_in(sam)
        case "key":
            return bearing(make_key(sam, scopes=scopes))
        case "key of one channel":
            return bearing(make_key(sam, scopes=scopes, channels=[own]))
        case "robot":
            return bearing(make_robot(own, sam, scopes=scopes))
        case "application":
            return bearing(make_token(sam, "channel:read", "channel:upload"))
    return bearing(make_short_lived_token(make_publisher(own, may_read=True))[1])


def asked(client: Client, method: str, address: str) -> list[str]:
    """Return the SQL statements of the answer, without their parameters."""
    with CaptureQueriesContext(connection) as found:
        getattr(client, method)(address)
    return [query["sql"].partition(" WHERE ")[0] for query in found.captured_queries]


@pytest.mark.parametrize("name", CALLERS)
def test_hidden_channel_costs_as_many_queries_as_a_missing_one(own: Channel, sam: User, name: str) -> None:
    client = caller(name, own, sam)
    client.get("/")  # what the first answer alone writes: that the key was used
    for method, address in PLACES:
        hidden, missing = (asked(client, method, address.format(each)) for each in (HIDDEN, MISSING))
        assert hidden == missing, f"{method} {address}"
