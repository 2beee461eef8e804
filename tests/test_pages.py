"""The pages: who sees what on them, what they cost, what they load."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.template.loader import render_to_string
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from channels_app.models import Channel, Member, Package, Role, User

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
CHANNEL_NAMES = re.compile(r"<h3>([a-z0-9_.-]+)</h3>")
STATIC_FILES = re.compile(r'(?:href|src)="/static/([^"#]+)(?:#([^"]+))?"')


def make_channel(name: str, *members: User, is_private: bool = True, packages: int = 0) -> Channel:
    channel = Channel.objects.create(name=name, is_private=is_private)
    Member.objects.bulk_create(Member(channel=channel, user=user, role=Role.VIEWER) for user in members)
    Package.objects.bulk_create(Package(channel=channel, name=f"package-{n}") for n in range(packages))
    return channel


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def home(client: Client) -> str:
    response = client.get("/")
    assert response.status_code == 200
    return response.content.decode()


def channels_on_home(client: Client) -> list[str]:
    return CHANNEL_NAMES.findall(home(client))


def test_home_lists_public_channels_for_anyone_and_private_ones_for_members(
    client: Client, max_: User, sam: User
) -> None:
    make_channel("open", is_private=False)
    make_channel("closed", max_)

    assert channels_on_home(client) == ["open"]
    assert channels_on_home(signed_in(max_)) == ["closed", "open"]
    assert channels_on_home(signed_in(sam)) == ["open"]


def test_home_lists_every_channel_for_an_administrator(admin_client: Client) -> None:
    make_channel("closed")

    assert channels_on_home(admin_client) == ["closed"]


def test_home_lists_a_channel_once_with_its_packages(max_: User, sam: User) -> None:
    make_channel("many", max_, sam, packages=12)
    make_channel("none", max_)
    make_channel("one", max_, packages=1)

    page = home(signed_in(max_))

    assert CHANNEL_NAMES.findall(page) == ["many", "none", "one"]
    assert re.findall(r">(\w+ packages?)<", page) == ["12 packages", "no packages", "1 package"]


def test_home_says_in_words_who_may_read_a_channel(max_: User) -> None:
    make_channel("closed", max_)
    make_channel("open", is_private=False)

    assert re.findall(r"</svg>(Private|Public)</span>", home(signed_in(max_))) == ["Private", "Public"]


def test_home_escapes_what_people_wrote(client: Client) -> None:
    Channel.objects.create(name="<b>bold</b>", description="<script>alert(1)</script>", is_private=False)

    page = home(client)

    assert "<h3>&lt;b&gt;bold&lt;/b&gt;</h3>" in page
    assert "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>" in page
    assert "<script" not in page


@pytest.mark.parametrize("channels", [3, 30])
def test_home_costs_as_many_queries_for_30_channels_as_for_3(
    django_assert_num_queries: DjangoAssertNumQueries, max_: User, channels: int
) -> None:
    for n in range(channels):
        make_channel(f"channel-{n}", max_, packages=2)
    client = signed_in(max_)

    with django_assert_num_queries(3):  # session, user, channels
        page = home(client)

    assert len(CHANNEL_NAMES.findall(page)) == channels


def test_an_empty_home_says_what_to_do(client: Client, admin_user: User, admin_client: Client, sam: User) -> None:
    assert "Sign in to see private ones" in home(client)
    assert "Ask an owner to add you" in home(signed_in(sam))
    assert f"python manage.py createchannel <var>NAME</var> <span>--owner {admin_user}</span>" in home(admin_client)


def test_the_commands_that_home_shows_to_administrators_exist() -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("createchannel", "demo", "--owner", "nobody")
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        call_command("createapikey", "nobody", "--name", "test", "--scope", "read", "--scope", "upload")


def test_home_shows_commands_with_the_hubs_own_address(client: Client) -> None:
    assert f"--url {settings.HUB_PUBLIC_URL}</span>" in home(client)


def test_administration_is_linked_for_staff_alone(client: Client, admin_client: Client, sam: User) -> None:
    assert 'href="/admin/"' in home(admin_client)
    assert 'href="/admin/"' not in home(signed_in(sam))
    assert 'href="/admin/"' not in home(client)


def test_signing_out_leads_back_home(admin_client: Client) -> None:
    assert 'action="/accounts/logout"' in home(admin_client)

    response = admin_client.post("/accounts/logout")

    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert "Sign in" in home(admin_client)


def test_a_member_signs_in_and_sees_the_private_channels(client: Client, max_: User) -> None:
    make_channel("closed", max_)
    max_.set_password("tungsten-Lantern")
    max_.save()
    assert "closed" not in home(client)

    wrong = client.post("/accounts/login", {"username": "max", "password": "wrong"})
    assert "No active user has this name and password" in wrong.content.decode()
    right = client.post("/accounts/login", {"username": "max", "password": "tungsten-Lantern"})

    assert (right.status_code, right.headers["Location"]) == (302, "/")
    assert "closed" in home(client)


def test_signing_in_leads_to_no_other_site(client: Client, max_: User) -> None:
    max_.set_password("tungsten-Lantern")
    max_.save()
    form = {"username": "max", "password": "tungsten-Lantern", "next": "https://evil.example/"}
    assert client.post("/accounts/login", form).headers["Location"] == "/"


def test_nothing_here_is_a_page_for_browsers_and_a_sentence_for_clients(client: Client) -> None:
    page = client.get("/nothing", headers=BROWSER)
    sentence = client.get("/nothing")

    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<code>/nothing</code> is no page of this hub." in page.content.decode()
    assert (sentence.status_code, sentence.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert sentence.content.decode() == "There is nothing at /nothing.\n"


def test_nothing_here_escapes_the_address(client: Client) -> None:
    page = client.get("/<script>alert(1)<", headers=BROWSER)

    assert page.status_code == 404
    assert "<script" not in page.content.decode()


def test_the_hubs_failure_is_a_page_that_needs_no_request() -> None:
    page = render_to_string("500.html")

    assert "The hub failed to answer" in page
    assert "Sign in" not in page


def test_another_host_is_told_what_to_set(client: Client) -> None:
    response = client.get("/demo/noarch/repodata.json", headers={"host": "other.example:80"})

    assert (response.status_code, response.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert response.content.decode() == (
        "This hub does not answer for 'other.example:80'. Set HUB_PUBLIC_URL, or add it to HUB_ALLOWED_HOSTS.\n"
    )


def test_the_hubs_failure_is_a_sentence_for_clients(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.raise_request_exception = False
    monkeypatch.setattr("channels_app.queries.channel_cards", lambda actor: 1 / 0)

    plain, page = client.get("/"), client.get("/", headers=BROWSER)

    assert (plain.status_code, plain.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert (page.status_code, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/", "/nothing", "/accounts/login"])
def test_pages_allow_only_what_the_hub_serves_itself(client: Client, path: str) -> None:
    response = client.get(path, headers=BROWSER)

    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        **dict.fromkeys(["script-src", "style-src", "img-src", "font-src", "connect-src", "form-action"], "'self'"),
        **dict.fromkeys(["base-uri", "frame-ancestors"], "'none'"),
    }
    assert not re.search(r"<style|<script|\sstyle=|\son[a-z]+=", response.content.decode())


def test_every_static_file_and_icon_that_a_page_names_exists(client: Client, admin_client: Client, sam: User) -> None:
    empty = [home(client), home(signed_in(sam)), home(admin_client)]
    make_channel("open", is_private=False)
    make_channel("closed")
    errors = [client.get("/nothing", headers=BROWSER).content.decode(), render_to_string("500.html")]
    named = set(STATIC_FILES.findall("".join([*empty, *errors, home(client), home(admin_client)])))

    assert ("icons.svg", "lock") in named
    for path, fragment in named:
        found = finders.find(path)
        assert isinstance(found, str), path
        assert not fragment or f'id="{fragment}"' in Path(found).read_text(), f"{path}#{fragment}"
