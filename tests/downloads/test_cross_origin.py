"""CORS: pages of other sites can read files of public channels, and can't detect private channels."""

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Artifact, Channel, User
from hub.storage import store
from publishing.downloads import delivery
from tests.builders import make_key
from tests.callers import make_world
from tests.pages import Response

pytestmark = pytest.mark.django_db

ORIGIN = "https://notebook.example"
FILE = "pack-1.0-0.conda"
EXPOSED = {"ETag", "Content-Range", "Content-Length", "Accept-Ranges"}
ASKED = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    """Create the channels `demo` (private) and, with a file, `open` (public)."""
    make_world()
    artifact = Artifact.objects.get(file_name=FILE)
    channel = Channel.objects.get(name="open")
    Artifact.objects.filter(pk=artifact.pk).update(channel=channel, package=channel.packages.get())
    store().put(f"open/noarch/{FILE}", b"x" * artifact.size_bytes)
    yield
    store().delete(f"open/noarch/{FILE}")


def cors(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("cookie", [{}, {"Cookie": "a=b"}], ids=["short way", "long way"])
def test_public_file_read_by_every_origin_without_credentials(method: str, cookie: dict[str, str]) -> None:
    partial, unsatisfiable = (206, 416) if method == "get" else (200, 200)
    cases: tuple[tuple[str, dict[str, str], int], ...] = (
        ("/open/noarch/repodata.json", {}, 200),
        ("/open/noarch/repodata_shards.msgpack.zst", {}, 200),
        ("/open/noarch/repodata.json", {"If-None-Match": "*"}, 304),
        ("/open/channeldata.json", {}, 200),
        (f"/open/noarch/{FILE}", {}, 200),
        (f"/open/noarch/{FILE}", {"Range": "bytes=0-0"}, partial),
        (f"/open/noarch/{FILE}", {"Range": "bytes=99999999-"}, unsatisfiable),
        ("/open/noarch/none-1-0.conda", {}, 404),
        (f"/open/noarch/shards/{'0' * 64}.msgpack.zst", {}, 404),
        ("/open/nowhere", {}, 404),
    )
    for path, headers, status in cases:
        answer = getattr(Client(), method)(path, headers={"Origin": ORIGIN} | headers | cookie)
        assert answer.status_code == status, (path, headers)
        assert answer["Access-Control-Allow-Origin"] == "*", (path, headers)
        assert set(answer["Access-Control-Expose-Headers"].split(", ")) == EXPOSED, (path, headers)
        assert "Access-Control-Allow-Credentials" not in answer.headers, (path, headers)


@pytest.mark.parametrize("how", ["redirect", "accel"])
def test_public_file_from_elsewhere_read_by_every_origin(
    how: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Signing:
        def url(self, *_: Any, **__: Any) -> str:
            return "https://store.example/signed"

    settings.HUB_DELIVERY = how
    monkeypatch.setattr(delivery, "store", Signing)
    answer = Client().get(f"/open/noarch/{FILE}", headers={"Origin": ORIGIN})
    assert answer.status_code == (302 if how == "redirect" else 200)
    assert answer["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_private_file_has_no_cors_headers(method: str) -> None:
    key = {"Authorization": f"Bearer {make_key(User.objects.get(username='owner'))}"}
    paths = ("noarch/repodata.json", f"noarch/{FILE}", "channeldata.json", "nowhere")
    for channel, path, headers in product(("demo", "void"), paths, ({}, key)):
        answer = Client().generic(method, f"/{channel}/{path}", headers=ASKED | headers)
        assert cors(answer) == {}, (channel, path, headers)


@pytest.mark.parametrize("path", [f"noarch/{FILE}", "noarch/none-1-0.conda", "channeldata.json", "nowhere"])
def test_preflight_of_a_public_file_allows_ranges_and_conditions(path: str) -> None:
    answer = Client().options(f"/open/{path}", headers=ASKED)
    assert (answer.status_code, answer.content, answer["Allow"]) == (204, b"", "GET, HEAD, OPTIONS")
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert {"GET", "HEAD"} <= set(answer["Access-Control-Allow-Methods"].split(", "))
    allowed = set(answer["Access-Control-Allow-Headers"].lower().split(", "))
    assert {"range", "if-range", "if-none-match", "if-modified-since"} <= allowed
    assert "authorization" not in allowed
    assert int(answer["Access-Control-Max-Age"]) > 0


def test_preflight_private_and_missing_channels_answered_alike() -> None:
    private, missing = (Client().options(f"/{name}/noarch/{FILE}", headers=ASKED) for name in ("demo", "void"))
    assert private.status_code == missing.status_code == 401
    assert private.content.replace(b"demo", b"void") == missing.content


def test_options_of_a_member_says_which_methods_there_are() -> None:
    key = make_key(User.objects.get(username="owner"))
    answer = Client().options("/demo/noarch/repodata.json", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer["Allow"], cors(answer)) == (204, "GET, HEAD, OPTIONS", {})
