"""Tests of credentials: the ways to send one, and the errors for invalid ones."""

import base64
from urllib.parse import quote

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


def code(client: Client, path: str, headers: dict[str, str]) -> tuple[int, str]:
    answer = client.get(path, headers=headers)
    return answer.status_code, answer["X-Error-Code"]


def test_actor_by_every_credential_source_is_accepted(client: Client, channel: Channel, olga: User) -> None:
    secret = make_key(olga)
    assert status(client) == 401
    assert status(client, authorization=f"Bearer {secret}") == 200
    assert status(client, authorization=f"bearer {secret}") == 200
    assert status(client, authorization=basic("anyone at all", secret)) == 200
    assert status(client, f"/t/{secret}{FILE}") == 200
    for name in ("x-api-key", "x-jfrog-art-api"):
        assert status(client, **{name: secret}) == 200
    client.force_login(olga)
    assert status(client) == 200


@pytest.mark.parametrize("name", ["x-api-key", "x-jfrog-art-api"])
def test_key_header_counts_before_authorization_if_it_looks_like_a_key(
    client: Client, channel: Channel, olga: User, name: str
) -> None:
    key, uploader = make_key(olga), make_key(olga, scopes=("upload",))
    assert status(client, **{name: key, "authorization": f"Bearer {uploader}"}) == 200
    assert status(client, **{name: uploader, "authorization": f"Bearer {key}"}) == 403
    assert status(client, **{name: key[:-1], "authorization": f"Bearer {key}"}) == 401
    assert status(client, **{name: "of a proxy", "authorization": f"Bearer {key}"}) == 200
    assert code(client, FILE, {name: "nonsense"}) == (401, "invalid_key")
    assert code(client, FILE, {name: ""}) == (401, "empty_key")
    for text in ("$QUETZ_API_KEY", f"Bearer {key}", f"{name}: {key}"):
        assert code(client, FILE, {name: text}) == (401, "placeholder_key")


def test_key_in_a_header_of_its_own_is_no_session(client: Client, channel: Channel, olga: User) -> None:
    client.force_login(olga)
    answer = client.post("/channels/demo/settings", {"description": "x"}, headers={"x-api-key": make_key(olga)})
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "key_on_page")


def test_basic_user_name_that_is_a_key_counts_unless_the_password_is_one(
    client: Client, channel: Channel, olga: User
) -> None:
    key, other = make_key(olga), make_key(olga, scopes=("upload",))
    for password in ("", "x-oauth-basic", "anything", "me"):
        assert status(client, authorization=basic(key, password)) == 200
    assert status(client, authorization=basic(other, key)) == 200
    assert status(client, authorization=basic(key, other)) == 403
    assert status(client, authorization=basic(key, key[:-1])) == 401
    assert status(client, authorization=basic(key[:-1], "")) == 401


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_key_has_a_code_of_its_own(client: Client, channel: Channel, text: str) -> None:
    for headers in ({"authorization": f"Bearer {text}"}, {"authorization": basic("", text)}):
        assert code(client, FILE, headers) == (401, "empty_key")
    assert code(client, FILE, {"authorization": basic("me", "")}) == (401, "empty_key")
    assert code(client, f"/t/{text}{FILE}", {}) == (401, "empty_key")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "KEY",
            "<KEY>",
            "YOUR_API_KEY",
            "your-api-key-here",
            "my key",
            "API_TOKEN",
            "<your key>",
            "...",
            "…",
            "changeme",
        ),
        *("$API_KEY", "${API_KEY}", "${{ secrets.HUB_KEY }}", "%API_KEY%", "$env:API_KEY", "{{ key }}", "$(cat key)"),
        *("None", "null", "undefined", "***", "xxxxxxxx", "[MASKED]", "chub-", "chub-xxxxxx", "chub-…"),
    ],
)
def test_placeholder_has_a_code_of_its_own(client: Client, channel: Channel, text: str) -> None:
    as_users = [basic(text, password) for password in ("", "x-oauth-basic")] if ":" not in text else []
    for value in (f"Bearer {text}", basic("me", text), *as_users):
        assert code(client, FILE, {"authorization": value.encode().decode("latin-1")}) == (401, "placeholder_key")
    assert code(client, f"/t/{quote(text)}{FILE}", {}) == (401, "placeholder_key")
    answer = client.post("/api/v1/upload/demo", b"", "text/plain", headers={"authorization": basic("me", text)})
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "placeholder_key")


@pytest.mark.parametrize("text", ["pfx_abcdef", "nonsense", "keys-of-mine", "tokenize", "123", "kEyring"])
def test_text_that_may_be_a_key_is_no_placeholder(client: Client, channel: Channel, text: str) -> None:
    assert code(client, FILE, {"authorization": f"Bearer {text}"}) == (401, "invalid_key")


def test_key_without_a_scheme_is_not_repeated(client: Client, olga: User) -> None:
    secret = make_key(olga)
    answer = client.get(FILE, headers={"authorization": secret})
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "unknown_scheme")
    assert secret[:10] not in answer.text


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("Bearer nonsense", "This is not a key of this hub: its keys begin with 'chub-'."),
        ("Bearer chub-tooshort", "The key is damaged: its checksum does not fit."),
        ("Bearer chub-" + "0" * 26 + "000000", "The key is damaged"),
        ("Bearer ", "An empty key was sent"),
        ("Digest abc", "of the scheme 'Digest'; expected Bearer or Basic"),
        ("Basic !!!", "is not valid basic authentication"),
        (basic("chub-user", ""), "The key is damaged"),
        (basic("me", "nonsense"), "This is not a key of this hub"),
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
    assert status(client, f"/t/{make_key(olga)}{FILE}") == 404


def test_a_cookie_is_no_credential_for_uploading(client: Client, channel: Channel, olga: User) -> None:
    client.force_login(olga)
    answer = client.post("/api/v1/upload/demo", b"", content_type="application/octet-stream")
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "credential_needed")


@pytest.mark.parametrize(
    ("form", "word"),
    [
        *((form, "quotes") for form in ('"{}"', "'{}'", "“{}”", "`{}`", '"{}', "{}'", "<{}>", "[{}]")),
        *(
            (form, "Bearer")
            for form in ("Bearer {}", "bearer  {}", "Authorization: Bearer {}", "token {}", "KEY={}", "API_KEY: {}")
        ),
    ],
)
def test_key_with_surrounding_characters_gets_a_hint(
    client: Client, channel: Channel, olga: User, form: str, word: str
) -> None:
    secret = make_key(olga)
    text = form.format(secret)
    for value in (f"Bearer {text}", basic("me", text)):
        answer = client.get(FILE, headers={"authorization": value.encode().decode("latin-1")})
        assert (answer.status_code, answer["X-Error-Code"]) == (401, "placeholder_key")
        assert word in answer.text
        assert secret[5:] not in answer.text + str(answer.headers)
