"""How a credential arrives, and what is said of one that is not valid."""

import base64

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel, User
from tests.builders import make_channel, make_key

FILE = "/demo/noarch/repodata.json"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def status(client: Client, path: str = FILE, **headers: str) -> int:
    return client.get(path, headers=headers).status_code


def test_every_way_in(client: Client, channel: Channel, olga: User) -> None:
    secret = make_key(olga)
    assert status(client) == 401
    assert status(client, authorization=f"Bearer {secret}") == 200
    assert status(client, authorization=f"bearer {secret}") == 200
    assert status(client, authorization=basic("anyone at all", secret)) == 200
    assert status(client, f"/t/{secret}{FILE}") == 200
    client.force_login(olga)
    assert status(client) == 200


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Bearer nonsense", "What was sent as a key is none of this hub's: they begin with 'chub-'."),
        ("Bearer chub-tooshort", "The key is damaged: its checksum does not fit."),
        ("Bearer chub-" + "0" * 26 + "000000", "The key is damaged"),
        ("Bearer ", "none of this hub's"),
        ("Digest abc", "of the scheme 'Digest'; expected Bearer or Basic"),
        ("Basic !!!", "is not valid basic authentication"),
        (basic("chub-user", ""), "none of this hub's"),
    ],
)
def test_a_wrong_credential_is_401_even_where_none_is_needed(
    client: Client, olga: User, header: str, sentence: str
) -> None:
    make_channel(owner=olga, is_private=False)
    assert status(client) == 200
    answer = client.get(FILE, headers={"authorization": header})
    assert answer.status_code == 401
    assert sentence in answer.text
    assert "Bearer" in answer["WWW-Authenticate"]


def test_a_revoked_key_is_named_without_being_repeated(client: Client, channel: Channel, olga: User) -> None:
    secret = make_key(olga)
    olga.keys.all().delete()
    answer = client.get(FILE, headers={"authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.text) == (
        401,
        "The key is not valid here: it is unknown, expired or revoked. Make a new one.\n",
    )
    assert secret not in str(answer.headers)


def test_a_key_in_the_path_wins_over_none_and_leaves_the_path(client: Client, channel: Channel, olga: User) -> None:
    secret = make_key(olga)
    answer = client.get(f"/t/{secret}/demo/noarch/nothing.conda")
    assert answer.status_code == 404
    assert secret not in answer.text
    assert answer.wsgi_request.path == "/demo/noarch/nothing.conda"
    assert secret not in answer.wsgi_request.META["PATH_INFO"] + answer.wsgi_request.META["RAW_URI"]


def test_there_are_no_pages_below_a_key(client: Client, olga: User) -> None:
    secret = make_key(olga)
    for path in ("/", "/admin/login/", "/accounts/login/", "/nowhere"):
        answer = client.get(f"/t/{secret}{path}", headers={"accept": "text/html"})
        assert (answer.status_code, answer["Content-Type"]) == (404, "text/plain; charset=utf-8"), path


def test_keys_in_paths_can_be_turned_off(client: Client, channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_PATH_KEYS = False
    assert status(client, f"/t/{make_key(olga)}{FILE}") == 401


def test_a_cookie_is_no_credential_for_uploading(client: Client, channel: Channel, olga: User) -> None:
    client.force_login(olga)
    answer = client.post("/api/v1/upload/demo", b"", content_type="application/octet-stream")
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "credential_needed")
