"""Limit of requests for stable ids: all users share the answers that GitHub gives in an hour."""

from collections.abc import Callable

import orjson
import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel, User
from hub import fetching
from hub.fetching import FetchError
from publishing.models import TrustedPublisher
from tests.builders import make_channel, make_issuer, make_key, make_robot, make_user
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

IDS = b'{"id": 740510, "owner": {"id": 65}}'
ALL = ("read", "upload", "manage")
MOST = 5


@pytest.fixture(autouse=True)
def requested(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[str]:
    """Requests to GitHub, which answers MOST times and then refuses."""
    settings.HUB_RATE_LIMITS = {"publisher-by-account": 2}
    make_issuer()
    requested: list[str] = []

    def get(url: str) -> bytes:
        requested.append(url)
        if len(requested) > MOST:
            raise FetchError("403 rate limit exceeded")
        return IDS

    monkeypatch.setattr(fetching, "get", get)
    return requested


def by_page(user: User, channel: Channel, number: int) -> int:
    form = {"repository": f"{user}/{number}", "workflow": "release.yml", "may_upload": "on"}
    address = f"/channels/{channel}/settings/publishers?provider=github"
    return int(signed_in(user).post(address, form, headers={"Accept": "text/html"}).status_code)


def pending(user: User, channel: Channel, number: int) -> int:
    form = {"repository": f"{user}/{number}", "workflow": "release.yml", "channel_name": f"{user}-{number}"}
    return int(signed_in(user).post("/channels/new/publisher?provider=github", form).status_code)


def sent(secret: str, channel: Channel, repository: str) -> int:
    fields = {"repository": repository, "workflow": "release.yml"}
    body = orjson.dumps({"provider": "github", "fields": fields})
    headers = {"Authorization": f"Bearer {secret}"}
    address = f"/api/v1/channels/{channel}/publishers"
    return int(Client().post(address, body, "application/json", headers=headers).status_code)


def by_key(user: User, channel: Channel, number: int) -> int:
    return sent(make_key(user, scopes=ALL), channel, f"{user}/{number}")


def by_robot(user: User, channel: Channel, number: int) -> int:
    return sent(make_robot(channel, user, scopes=ALL, name=f"robot-{number}"), channel, f"{user}/{number}")


@pytest.mark.parametrize("way", [by_page, pending, by_key, by_robot])
def test_one_users_publishers_leave_anothers_with_stable_ids(
    requested: list[str], olga: User, sam: User, way: Callable[[User, Channel, int], int]
) -> None:
    places = [make_channel(f"sams-{number}", owner=sam) for number in range(2)]
    for number in range(8):
        way(sam, places[number % 2], number)
    assert len(requested) == 2
    assert by_page(olga, make_channel("olgas", owner=olga), 1) == 302
    assert TrustedPublisher.objects.get(channel__name="olgas").pins["repository_id"] == "740510"


def test_page_and_api_say_so(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"publisher-by-account": 0}
    form = {"repository": "octo-org/sample", "workflow": "release.yml", "may_upload": "on"}
    page = signed_in(olga).post("/channels/demo/settings/publishers?provider=github", form)
    assert "Too many new trusted publishers of yours" in text(page)
    assert by_key(olga, channel, 1) == 429


def test_administrators_add_any_number(channel: Channel) -> None:
    root = make_user("root", is_superuser=True)
    assert [by_page(root, channel, number) for number in range(4)] == [302] * 4
