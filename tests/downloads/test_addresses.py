"""URLs of channels and subdirs, which are no files, and URLs below reserved words."""

import json

import pytest
from django.test import Client
from django.urls import get_resolver

from channels_app.channels.channels import routed_words
from channels_app.models import Channel, User
from tests.builders import make_channel, make_key
from tests.callers import make_world
from tests.hub.test_wiring import routes
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
NOWHERE = [
    *("/api", "/api/", "/api/v1", "/api/v2/x", "/api/v1/upload/a/b/c", "/api/v1/nothing", "/api//"),
    *("/.well-known", "/.well-known/", "/.well-known/nothing", "/.well-known/jwks.json/x"),
    *("/accounts", "/accounts/nothing", "/accounts/login/x", "/admin/nothing", "/admin/auth/nothing/", "/admin/a/b/c/"),
    *("/static", "/static/nothing.css", "/static/css/x/y", "/docs/nothing", "/docs/a/b", "/docs/First-Steps"),
    *("/identity/o/nothing", "/o/x", "/get", "/artifactory/api", "/anaconda/nothing", "/media/x", "/healthz/x"),
    *("/robots.txt/x", "/favicon.ico/x", "/t", "/search/x", "/channels/a/b/c/d", "/metrics/x", "/status/x", "/new"),
    *("/channels/demo/nothing", "/channels/open/nothing", "/teams/a/b"),
]
# Pages below these words have their own answer to wrong methods.
PAGES = ("/docs/", "/channels/demo/")
CLIENT_SHOWS_CHARACTERS = 512
NAMES = ["open", "demo", "void", "my.channel", "_x", "index.html", "wp-login.php", "0", "a-b_c.d"]


@pytest.fixture(scope="module", autouse=True)
def world(rows_of_module: None) -> None:
    """Create the channels `demo` (private) and `open` (public)."""
    make_world()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_unknown_path_below_a_word_of_the_hub_is_404(method: str) -> None:
    for path in NOWHERE:
        if method == "OPTIONS" and path.startswith(PAGES):
            continue
        answer = Client().generic(method, path)
        kind = "application/problem+json" if path.startswith("/api/v1/") else "text/plain; charset=utf-8"
        assert (answer.status_code, answer["Content-Type"]) == (404, kind), path
        assert "anonymous users have no" not in answer.text
        assert method == "HEAD" or path in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("who", ["anon", "key", "session"])
def test_unknown_path_is_404_for_every_method_and_caller(method: str, who: str) -> None:
    owner = User.objects.get(username="owner")
    client = signed_in(owner) if who == "session" else Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {make_key(owner)}"} if who == "key" else {}
    for path in NOWHERE:
        if not path.startswith(PAGES):
            assert client.generic(method, path, b"x", headers=headers).status_code == 404, path


def test_unknown_path_is_a_page_for_browsers_and_a_problem_for_json() -> None:
    for path in NOWHERE:
        page = Client().get(path, headers=BROWSER)
        assert (page.status_code, page["Content-Type"]) == (404, "text/html; charset=utf-8"), path
        for accepted in ("application/json", "application/problem+json"):
            answer = Client().get(path, headers={"Accept": accepted})
            assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
            problem = json.loads(answer.content)
            assert (problem["status"], path in problem["detail"]) == (404, True)


def test_unknown_path_below_every_routed_word_is_404() -> None:
    # The paths of the first two have secrets, which are redacted. Below the others are channels.
    for word in routed_words() - {"t", "invitations", "get", "artifactory", "conda"}:
        for path in (f"/{word}/nothing/at/all.x", f"/{word}/noarch/repodata.json"):
            assert Client().get(path).status_code == 404, path


def test_first_segments_of_all_routes_are_reserved() -> None:
    firsts = {route.partition("/")[0].replace("\\", "") for route in routes(get_resolver())}
    assert {"robots.txt", "favicon.ico", ".well-known", "api"} <= firsts & routed_words()


def test_channel_named_like_a_word_from_before_keeps_working() -> None:
    owner = User.objects.get(username="owner")
    for name, is_private in (("teams", False), ("get", False), ("doctor", True)):
        make_channel(name, owner=owner, is_private=is_private)
    for name in ("teams", "get"):
        assert Client().get(f"/{name}/noarch/repodata.json").status_code == 200
        assert Client().get(f"/{name}/noarch/none-1-0.conda").status_code == 404
        page = Client().get(f"/{name}/noarch/", headers=BROWSER)
        assert page["Location"] == f"/channels/{name}?platform=noarch"
    assert Client().get("/get", headers=BROWSER)["Location"] == "/channels/get"
    key = {"Authorization": f"Bearer {make_key(owner)}"}
    assert Client().get("/doctor/noarch/repodata.json", headers=key).status_code == 200
    private, missing = (Client().get(f"/{name}/noarch/repodata.json") for name in ("doctor", "status"))
    assert private.status_code == missing.status_code == 404
    assert private.text.replace("doctor", "status") == missing.text
    make_channel("media", owner=owner, is_private=True)
    for path in ("", "/", "/noarch", "/noarch/", "/noarch/repodata.json"):
        private, missing = (Client().get(f"/{name}{path}", headers=BROWSER) for name in ("media", "connect"))
        assert (private.status_code, private.get("Location")) == (missing.status_code, missing.get("Location")), path


@pytest.mark.parametrize("slash", ["", "/"])
def test_channel_address_in_a_browser_leads_to_its_page(slash: str) -> None:
    for name in NAMES:
        for asked in (name, name.upper(), name.title()):
            answer = Client().get(f"/{asked}{slash}", headers=BROWSER)
            assert (answer.status_code, answer["Location"]) == (302, f"/channels/{name}")
            assert "Accept" in answer["Vary"]


@pytest.mark.parametrize("subdir", ["noarch", "linux-64", "zos-z", "plan9-64"])
def test_subdir_address_in_a_browser_leads_to_the_channels_page(subdir: str) -> None:
    for name in NAMES:
        for asked in (f"/{name}/{subdir}", f"/{name}/{subdir}/", f"/{name.upper()}/{subdir.upper()}/"):
            answer = Client().get(asked, headers=BROWSER)
            assert (answer.status_code, answer["Location"]) == (302, f"/channels/{name}?platform={subdir}")
    assert Client().get(f"/channels/open?platform={subdir}", headers=BROWSER).status_code == 200


def test_label_address_in_a_browser_leads_to_the_channels_page() -> None:
    for name in NAMES:
        for path, query in (("label/dev", ""), ("label/dev/", ""), ("label/dev/noarch", "?platform=noarch")):
            answer = Client().get(f"/{name}/{path}", headers=BROWSER)
            assert (answer.status_code, answer["Location"]) == (302, f"/channels/{name}{query}")


@pytest.mark.parametrize("path", ["/{}", "/{}/", "/{}/noarch", "/{}/noarch/", "/{}/label/dev", "/{}/label/dev/noarch/"])
@pytest.mark.parametrize("headers", [BROWSER, {"Accept": "*/*"}], ids=["browser", "client"])
def test_private_and_missing_channel_addresses_answered_alike(path: str, headers: dict[str, str]) -> None:
    for client in (Client(), signed_in(User.objects.get(username="stranger"))):
        private, missing = (client.get(path.format(name), headers=headers) for name in ("demo", "void"))
        assert private.status_code == missing.status_code
        assert private.content.replace(b"demo", b"void") == missing.content


@pytest.mark.parametrize("path", ["/open", "/open/", "/void", "/demo/"])
def test_channel_address_for_a_client_is_a_sentence(path: str) -> None:
    answer = Client().get(path)
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "no_such_file")
    assert f"/{path.strip('/')}/noarch/repodata.json" in answer.text


@pytest.mark.parametrize("path", ["/-x", "/a b", "/%E2%82%AC", "/" + "a" * 129, "/.env", "/a%0A", "/a+b"])
def test_address_that_can_be_no_channels_is_404(path: str) -> None:
    for headers in (BROWSER, {}):
        assert Client().get(path, headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/docs/", "/docs"),
        ("/channels/", "/channels"),
        ("/channels/open/", "/channels/open"),
        ("/admin?a=b", "/admin/?a=b"),
        ("/accounts/login", "/accounts/login/"),
        ("/search/?q=x", "/search?q=x"),
    ],
)
def test_address_but_for_its_slash_leads_a_browser_on(path: str, expected: str) -> None:
    assert Client().get(path, headers=BROWSER)["Location"] == expected
    assert Client().get(path).status_code == 404


@pytest.mark.parametrize("method", METHODS)
def test_channel_address_by_other_methods_changes_no_row(method: str) -> None:
    before = list(Channel.objects.values())
    answer = Client(enforce_csrf_checks=True).generic(method, "/open", b"x", headers={"Cookie": "a=b"})
    assert answer.status_code == 404
    assert list(Channel.objects.values()) == before


@pytest.mark.parametrize("path", ["noarch/repodata.json", "linux-64/repodata.json.zst", "channeldata.json", "noarch/"])
def test_page_address_used_as_a_channel_names_the_channels_own(path: str) -> None:
    for name in NAMES:
        answer = Client().get(f"/channels/{name}/{path}")
        assert answer.status_code == 404
        assert f"/{name}," in answer.text
        assert len(answer.text) <= CLIENT_SHOWS_CHARACTERS
    assert "Clients" not in Client().get("/channels/open/settings/nothing").text


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_channel_name_in_capitals_gets_a_hint_for_any_channel(method: str) -> None:
    key = make_key(User.objects.get(username="stranger"), scopes=("read", "upload"))
    for headers in ({}, {"Authorization": f"Bearer {key}"}):
        told = set()
        for name in ("open", "demo", "void"):
            path = "/{}/noarch/repodata.json" if method == "GET" else "/api/v1/upload/{}"
            asked = path.format(name.title())
            answer = Client().generic(method, asked, b"x", "application/octet-stream", headers=headers)
            assert f"'{name}'" in answer.text
            assert f"'{name.title()}'" in answer.text
            told.add((answer.status_code, answer.text.replace(name, "").replace(name.title(), "")))
            assert "small letters" not in Client().get(f"/{name}/noarch/none.conda", headers=headers).text
        assert len(told) == 1


def test_address_below_no_channel_is_the_page_of_404_for_a_signed_in_browser() -> None:
    browser = signed_in(User.objects.get(username="stranger"))
    told = []
    for name in ("demo", "void"):
        answer = browser.get(f"/{name}/bar/baz", headers=BROWSER)
        assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert browser.get(f"/{name}/bar/baz").status_code == 403
        told.append([template.name for template in answer.templates])
    assert told[0] == told[1]
    assert "404.html" in told[0]
