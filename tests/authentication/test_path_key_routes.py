"""Tests of keys in the path: they work for channel files and uploads, and for no other route."""

import pytest
from django.test import Client
from django.urls import reverse

from channels_app.authentication import api_keys
from channels_app.models import User
from publishing.downloads.path_key_routes import served
from tests.access.test_matrix import address, is_admins
from tests.builders import make_key
from tests.callers import make_world
from tests.routes import every_route

pytestmark = pytest.mark.django_db

NO_PAGES = "There are no pages below /t/<key>/, only the files of channels.\n"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.fixture
def key() -> str:
    make_world()
    return make_key(User.objects.get(username="owner"), scopes=("read", "upload", "delete", "manage"))


def path_of(route: str) -> str:
    """Return a path of the route; for a route without a name, the beginning of its pattern."""
    if route.startswith("/"):
        return "/" + route.lstrip("/").replace("<path:object_id>", "1").partition("^")[0]
    if is_admins(route):
        return "/admin/"
    return address(route)


def test_every_other_route_is_404_with_a_sentence(key: str) -> None:
    for route in every_route():
        if route in served() or route == "reserved-word":
            continue
        for method in METHODS:
            answer = Client().generic(method, f"/t/{key}{path_of(route)}", headers={"accept": "text/html"})
            assert answer.status_code == 404, (route, method)
            assert answer.headers["Content-Type"] == "text/plain; charset=utf-8", (route, method)
            assert key not in answer.content.decode(), (route, method)
            if method in ("GET", "OPTIONS"):
                assert answer.content.decode() == NO_PAGES, route


def test_routes_of_clients_are_served_below_a_path_key(key: str) -> None:
    client = Client()
    assert client.get(f"/t/{key}/demo/noarch/repodata.json").status_code == 200
    assert client.get(f"/t/{key}/demo/channeldata.json").status_code == 200
    assert client.get(f"/t/{key}{reverse('whoami')}").status_code == 200
    assert client.get(f"/t/{key}{reverse('channel-feed', args=['demo'])}").status_code == 200
    upload = client.post(f"/t/{key}/api/v1/upload/demo", b"x", "application/octet-stream")
    assert (upload.status_code, upload.headers["X-Error-Code"]) == (400, "file_name_missing")
    assert client.delete(f"/t/{key}/api/v1/delete/demo/noarch/pack-1.0-0.conda").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["", "/", "/static/css/base.css", "/robots.txt", "/healthz", "/readyz", "/metrics", "/admin/", "//demo"],
)
def test_other_routes_below_a_path_key_are_404(client: Client, key: str, path: str) -> None:
    answer = client.get(f"/t/{key}{path}")
    assert (answer.status_code, answer.content.decode()) == (404, NO_PAGES), path


def test_a_second_key_is_no_way_round(client: Client, key: str) -> None:
    answer = client.get(f"/t/{key}/t/{api_keys.new_secret()}/account/keys")
    assert (answer.status_code, answer.content.decode()) == (404, NO_PAGES)
