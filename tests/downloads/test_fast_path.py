"""The clients' fast path: it skips the middleware for browsers and gives the same responses."""

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import User
from publishing.downloads import fast_path, views
from tests.builders import make_files_old
from tests.callers import make_world
from tests.pages import Response, signed_in

pytestmark = pytest.mark.django_db

PATHS = [
    "/open/noarch/repodata.json",
    "/demo/noarch/repodata.json",
    "/demo/noarch/pack-1.0-0.conda",
    "/none/noarch/repodata.json",
    "/open/nowhere",
    "/t/chub-none/open/noarch/repodata.json",
]


@pytest.fixture(autouse=True)
def world() -> None:
    make_world()
    make_files_old()


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of paths that the fast path answered."""
    taken: list[str] = []

    def noted(request: object, channel: str, path: str) -> object:
        taken.append(f"/{channel}/{path}")
        return views.channel_file(request, channel, path)  # type: ignore[arg-type]

    monkeypatch.setattr(fast_path, "below_channel", noted)
    return taken


def comparable(answer: Response) -> tuple[int, bytes, dict[str, str]]:
    """Return the response without its request id and without the Vary header of sessions."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("X-Request-ID", "Vary")}
    return answer.status_code, answer.getvalue(), headers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", [None, "chub-none"])
def test_fast_path_and_middleware_give_equal_responses(path: str, key: str | None, ways: list[str]) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    short = Client().get(path, headers=headers)
    assert len(ways) == 1
    long = Client(headers={"Cookie": "other=1"}).get(path, headers=headers)
    assert len(ways) == 1
    assert comparable(short) == comparable(long)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("get", "/channels/open", {}),
        ("get", "/api/v1/whoami", {}),
        ("get", "/static/logo.svg", {}),
        ("get", "/accounts/login/", {}),
        ("get", "/open", {}),
        ("get", "/open/", {}),
        ("get", "/OPEN/noarch/x", {}),
        ("get", "//noarch/x", {}),
        ("post", "/open/noarch/repodata.json", {}),
        ("get", "/open/noarch/repodata.json", {"Content-Length": "1"}),
        ("get", "/open/noarch/repodata.json", {"Transfer-Encoding": "chunked"}),
    ],
)
def test_everything_else_goes_the_long_way(method: str, path: str, headers: dict[str, str], ways: list[str]) -> None:
    getattr(Client(), method)(path, headers=headers)
    assert ways == []


def test_session_reads_channels_of_its_user(ways: list[str]) -> None:
    owner = signed_in(User.objects.get(username="owner"))
    assert owner.get("/demo/noarch/repodata.json").status_code == 200
    assert ways == []


def test_other_hosts_are_not_answered_for(ways: list[str]) -> None:
    assert Client().get("/open/noarch/repodata.json", headers={"Host": "elsewhere.example"}).status_code == 400
    assert ways == []


def test_http_leads_to_https(settings: Settings, ways: list[str]) -> None:
    settings.SECURE_SSL_REDIRECT = True
    answer = Client().get("/open/noarch/repodata.json")
    assert (answer.status_code, ways) == (301, [])
    assert answer["Location"].startswith("https://")


def test_fast_path_sets_the_route_of_the_request() -> None:
    match = Client().get("/open/noarch/repodata.json").wsgi_request.resolver_match
    assert match is not None
    assert (match.view_name, match.route) == ("channel-file", "<str:channel>/<path:path>")


def test_a_fault_is_a_page_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fast_path, "below_channel", broken)
    answer = Client(raise_request_exception=False).get("/open/noarch/repodata.json")
    assert answer.status_code == 500
    assert answer["X-Content-Type-Options"] == "nosniff"
