"""Acts on packages of one's own are refused in an upstream channel, with one code."""

from pathlib import Path

import pytest
from django.test import Client

from channels_app.access.permissions import Actor, Permission, channel_for, permissions
from channels_app.models import Channel, User
from hub.errors import HubError
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_key
from tests.pages import signed_in
from tests.rest.calls import by_session, code

pytestmark = pytest.mark.django_db
REFUSED = (403, "channel_takes_no_uploads")


def test_owner_has_neither_upload_nor_delete(mirror: Channel, olga: User) -> None:
    assert permissions(Actor(user=olga), mirror) == {Permission.READ, Permission.MANAGE, Permission.OWN}


@pytest.mark.parametrize("permission", [Permission.UPLOAD, Permission.DELETE])
def test_refusal_names_the_kind_of_the_channel(mirror: Channel, olga: User, permission: Permission) -> None:
    with pytest.raises(HubError) as caught:
        channel_for(Actor(user=olga), "mirror", permission)
    assert (caught.value.status, caught.value.code) == REFUSED


def test_stranger_gets_no_access_to_a_private_upstream(mirror: Channel, sam: User) -> None:
    Channel.objects.update(is_private=True)
    with pytest.raises(HubError) as caught:
        channel_for(Actor(user=sam), "mirror", Permission.UPLOAD)
    assert caught.value.code == "no_access"


def test_upload_is_refused(mirror: Channel, olga: User, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    headers = {"Authorization": f"Bearer {make_key(olga)}", "X-File-Name": path.name}
    answer = Client(headers=headers).post("/api/v1/upload/mirror", path.read_bytes(), "application/octet-stream")
    assert (answer.status_code, answer.headers.get("X-Error-Code")) == REFUSED


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("labels", {"name": "dev"}),
        ("promotions", {"from": "demo", "files": ["noarch/demo-1.0-0.conda"]}),
        ("retention-rules", {"title": "old", "keep_versions": 3}),
        ("patches", {"title": "x", "names": ["numpy"], "changes": {"license": "MIT"}}),
    ],
)
def test_rest_acts_on_packages_are_refused(mirror: Channel, olga: User, path: str, sent: dict[str, object]) -> None:
    make_artifact(make_channel("demo", owner=olga))
    answer = by_session(olga).post(f"channels/mirror/{path}", sent)
    assert code(answer) == REFUSED, answer.content


@pytest.mark.parametrize("page", ["settings/upload", "select", "labels"])
def test_pages_of_uploads_are_refused(mirror: Channel, olga: User, page: str) -> None:
    assert signed_in(olga).post(f"/channels/mirror/{page}", {"name": "dev"}).status_code in (403, 404)
