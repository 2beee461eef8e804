"""Tests of pages: their contents for each user, their number of queries, and the files that they load."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.models import Channel, ChannelKind, Member, Package, Role, User
from tests.builders import picture

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
CHANNEL_NAMES = re.compile(r'<h2 class="mono two-lines"><a href="/channels/([a-z0-9_.-]+)">')
STATIC_FILES = re.compile(r'(?:href|src)="/static/([^"#]+)(?:#([^"]+))?"')
APPS = ("channels_app", "publishing")
INLINE = re.compile(r"<style|<script(?! (?:type=\"module\" )?src=)|\sstyle=|\son[a-z]+=")


def make_channel(name: str, *members: User, is_private: bool = True, packages: int = 0, **fields: Any) -> Channel:
    channel = Channel.objects.create(name=name, is_private=is_private, **fields)
    Member.objects.bulk_create(Member(channel=channel, user=user, role=Role.VIEWER) for user in members)
    for n in range(packages):
        make_package(channel, f"package-{n}")
    return channel


def make_package(channel: Channel, name: str, **fields: Any) -> Package:
    return Package.objects.create(
        channel=channel, name=name, **{"latest_version": "1.0", "updated_at": timezone.now(), **fields}
    )


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def home(client: Client) -> str:
    return page(client, "/")


def page(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def channels(client: Client, query: str = "show=all") -> list[str]:
    return CHANNEL_NAMES.findall(page(client, f"/channels?{query}"))


def test_home_lists_latest_updates_of_readable_channels(client: Client, max_: User, sam: User) -> None:
    now = timezone.now()
    make_package(make_channel("open", is_private=False), "older", updated_at=now - timedelta(hours=3))
    make_package(make_channel("closed", max_), "newer", summary="Rasters", latest_version="4.7.1")
    make_package(make_channel("gone", max_, deleted_at=now), "hidden")
    make_package(Channel.objects.get(name="open"), "yanked", latest_version="")
    packages = re.compile(r'<a class="name" href="/channels/([a-z-]+/packages/[a-z/-]+)">')

    assert packages.findall(home(client)) == ["open/packages/older"]
    assert packages.findall(home(signed_in(max_))) == ["closed/packages/newer", "open/packages/older"]
    assert packages.findall(home(signed_in(sam))) == ["open/packages/older"]
    assert "closed · Rasters" in home(signed_in(max_))


def test_home_counts_readable_channels_only(client: Client, max_: User) -> None:
    make_channel("open", is_private=False, packages=1)
    make_channel("closed", max_, packages=1200)

    assert re.findall(r"</svg>([\d,]+ [a-z ]+)</span>", home(client)) == ["1 public channel", "1 package"]
    assert re.findall(r"</svg>([\d,]+ [a-z ]+)</span>", home(signed_in(max_))) == ["2 channels", "1,201 packages"]


def test_home_costs_as_many_queries_for_many_packages_as_for_few(
    django_assert_num_queries: DjangoAssertNumQueries, max_: User
) -> None:
    for n in range(9):
        make_channel(f"channel-{n}", max_, packages=9)
    client = signed_in(max_)

    # Session, user, packages, their channels, two counts; own channels, uploads, keys, invitations.
    with django_assert_num_queries(10):
        home(client)


def test_empty_home_shows_the_next_step(client: Client, sam: User) -> None:
    assert "Sign in to see private ones" in home(client)
    assert 'href="/channels/new"' in home(signed_in(sam))


def test_home_leads_to_ones_keys(client: Client, sam: User) -> None:
    for each in (client, signed_in(sam)):
        assert '<a href="/account/keys">make an API key</a>' in home(each)


def test_home_shows_commands_with_the_hubs_own_address(client: Client) -> None:
    assert f"pixi auth login {settings.HUB_PUBLIC_URL} <span>--oauth" in home(client)
    assert f"<span>{settings.HUB_PUBLIC_URL}/<var>CHANNEL</var></span>" in home(client)


def test_all_channels_are_the_public_ones_for_anyone_and_the_private_ones_for_members(
    client: Client, max_: User, sam: User, admin_client: Client
) -> None:
    make_channel("open", is_private=False)
    make_channel("closed", max_)
    make_channel("gone", max_, deleted_at=timezone.now())

    assert channels(client) == ["open"]
    assert channels(client, "") == ["open"]
    assert channels(signed_in(max_)) == ["closed", "open"]
    assert channels(signed_in(sam)) == ["open"]
    assert channels(admin_client) == ["closed", "open"]


def test_my_channels_are_those_of_which_the_reader_is_a_member(client: Client, max_: User, sam: User) -> None:
    make_channel("open", is_private=False)
    make_channel("closed", max_, sam)

    assert channels(signed_in(max_), "") == ["closed"]
    assert "My channels" not in page(client, "/channels")
    tabs = re.findall(r'>(\w+ channels) <span class="count">(\d+)</span>', page(signed_in(max_), "/channels"))
    assert tabs == [("My channels", "1"), ("All channels", "2")]


def test_channel_card_shows_visibility_size_and_role(max_: User, sam: User) -> None:
    make_channel("many", max_, sam, packages=12)
    make_channel("none", max_, is_private=False)
    make_channel("one", max_, packages=1)
    make_package(Channel.objects.get(name="one"), "yanked", latest_version="")

    cards = page(signed_in(max_), "/channels")

    assert CHANNEL_NAMES.findall(cards) == ["many", "none", "one"]
    assert re.findall(r">(\w+ packages?)\s*<", cards) == ["12 packages", "no packages", "1 package"]
    assert re.findall(r"</svg>(Private|Public)</span>", cards) == ["Private", "Public", "Private"]
    assert cards.count("</svg>Viewer</span>") == 3


@pytest.mark.parametrize("path", ["/channels", "/", "/search?q=mirror"])
def test_card_of_a_channel_without_own_packages_shows_its_kind(max_: User, path: str) -> None:
    make_channel("mirror", max_)
    Channel.objects.update(kind=ChannelKind.UPSTREAM)
    shown = page(signed_in(max_), path)
    assert "upstream channel" in shown
    assert not re.search(r"(0|no) packages", shown.partition('href="/channels/mirror"')[2].partition("</article>")[0])


def test_a_card_shows_the_logo_or_a_drawing(max_: User) -> None:
    make_channel("drawn", max_)
    make_channel("painted", max_, logo=b"PNG")

    cards = page(signed_in(max_), "/channels")

    assert re.findall(r'<img class="logo " src="([^"]+)"', cards) == ["/channels/painted/logo"]
    assert len(re.findall(r'<svg class="logo  hue-\d+"', cards)) == 1


def test_the_search_looks_into_names_and_descriptions(max_: User) -> None:
    make_channel("geo-tools", max_)
    make_channel("maps", max_, description="For Geographers")
    make_channel("vision", max_)
    client = signed_in(max_)

    assert channels(client, "q=GEO") == ["geo-tools", "maps"]
    assert channels(client, "show=all&q=vis") == ["vision"]
    assert channels(client, "q=%00") == ["geo-tools", "maps", "vision"]
    assert "No channel with “&lt;b&gt;”" in page(client, "/channels?q=<b>")


def test_channels_come_in_pages_that_keep_the_search(max_: User) -> None:
    for n in range(30):
        make_channel(f"channel-{n:02}", max_)
    client = signed_in(max_)

    assert len(channels(client, "q=channel")) == 24
    assert channels(client, "q=channel&page=2") == [f"channel-{n}" for n in range(24, 30)]
    assert 'href="?q=channel&amp;page=2"' in page(client, "/channels?q=channel")


def test_channels_page_escapes_descriptions(client: Client) -> None:
    Channel.objects.create(name="<b>bold", description="<script>alert(1)</script>", is_private=False)

    cards = page(client, "/channels")

    assert ">&lt;b&gt;bold</a>" in cards
    assert '<p class="two-lines">&lt;script&gt;alert(1)&lt;/script&gt;</p>' in cards
    assert not INLINE.search(cards)


@pytest.mark.parametrize("number", [3, 20])
def test_the_channels_page_costs_as_many_queries_for_20_channels_as_for_3(
    django_assert_num_queries: DjangoAssertNumQueries, max_: User, number: int
) -> None:
    for n in range(number):
        make_channel(f"channel-{n}", max_, packages=2)
    client = signed_in(max_)

    with django_assert_num_queries(7):  # session, user, cards, number of cards, mine, all, deleted
        assert len(channels(client, "")) == number


def test_empty_list_of_channels_shows_the_next_step(client: Client, sam: User) -> None:
    assert "Sign in to see private ones" in page(client, "/channels")
    assert "You have no channels yet" in page(signed_in(sam), "/channels")
    assert "Create the first channel of this hub" in page(signed_in(sam), "/channels?show=all")


def test_deleted_channels_are_shown_to_owners_only(max_: User, olga: User) -> None:
    gone = make_channel("gone", max_, deleted_at=timezone.now())
    Member.objects.create(channel=gone, user=olga, role=Role.OWNER)

    assert "/channels/gone/restore" in page(signed_in(olga), "/channels")
    assert "gone" not in page(signed_in(max_), "/channels")


def test_channel_created_by_a_user_is_owned_by_them(client: Client, sam: User) -> None:
    response = signed_in(sam).post(
        "/channels/new",
        {
            "name": "mine",
            "description": "For me",
            "is_private": "private",
            "logo": SimpleUploadedFile("logo.png", picture(), "image/png"),
        },
    )

    channel = Channel.objects.get(name="mine")
    assert (response.status_code, response.headers["Location"]) == (302, "/channels/mine")
    assert (channel.description, channel.is_private) == ("For me", True)
    assert channel.logo is not None
    assert bytes(channel.logo).startswith(b"\x89PNG")
    assert channel.members.get().user == sam
    assert channel.members.get().role == Role.OWNER


def test_a_channel_is_public_only_where_that_is_chosen(sam: User) -> None:
    assert 'value="private" checked' in page(signed_in(sam), "/channels/new")

    signed_in(sam).post("/channels/new", {"name": "open", "is_private": "public"})

    assert not Channel.objects.get(name="open").is_private


def test_strangers_sign_in_before_they_make_a_channel(client: Client) -> None:
    response = client.post("/channels/new", {"name": "mine", "is_private": "public"})

    assert (response.status_code, response.headers["Location"]) == (302, "/accounts/login/?next=/channels/new")
    assert not Channel.objects.exists()


@pytest.mark.parametrize(
    ("sent", "complaint"),
    [
        ({"name": "Upper"}, "can&#x27;t name a channel; expected up to 128 lower-case letters"),
        ({"name": "linux-64"}, "is the name of a subdir"),
        ({"name": "new"}, "is a path of the hub itself"),
        ({"name": "taken"}, "There is a channel &#x27;taken&#x27; already"),
        ({"name": ""}, "This field is required"),
        ({"name": "mine", "is_private": "perhaps"}, "Select a valid choice"),
        ({"name": "mine", "description": "x" * 501}, "at most 500 characters"),
        ({"name": "mine", "logo": SimpleUploadedFile("logo.svg", b"<svg/>")}, "can&#x27;t be read as a picture"),
    ],
)
def test_a_channel_that_cannot_be_made_says_why(sam: User, sent: dict[str, Any], complaint: str) -> None:
    make_channel("taken")

    response = signed_in(sam).post("/channels/new", {"is_private": "private", **sent})

    assert response.status_code == 200
    assert complaint in response.content.decode()
    assert Channel.objects.count() == 1


def test_the_style_guide_exists_only_while_debugging(client: Client, settings: Settings) -> None:
    assert client.get("/styleguide").status_code == 404

    settings.DEBUG = True

    assert not INLINE.search(page(client, "/styleguide"))


def test_administration_is_linked_for_staff_alone(client: Client, admin_client: Client, sam: User) -> None:
    assert 'href="/admin/"' in home(admin_client)
    assert 'href="/admin/"' not in home(signed_in(sam))
    assert 'href="/admin/"' not in home(client)


def test_signing_out_leads_back_home(admin_client: Client) -> None:
    assert 'action="/accounts/logout/"' in home(admin_client)

    response = admin_client.post("/accounts/logout/")

    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert "Sign in" in home(admin_client)


def test_a_member_signs_in_and_sees_the_private_channels(client: Client, max_: User) -> None:
    make_channel("closed", max_)
    max_.set_password("tungsten-Lantern")
    max_.save()
    assert channels(client) == []

    wrong = client.post("/accounts/login/", {"login": "max", "password": "wrong"})
    assert "Wrong user name or password" in wrong.content.decode()
    right = client.post("/accounts/login/", {"login": "max", "password": "tungsten-Lantern"})

    assert (right.status_code, right.headers["Location"]) == (302, "/")
    assert channels(client) == ["closed"]


def test_signing_in_leads_to_no_other_site(client: Client, max_: User) -> None:
    max_.set_password("tungsten-Lantern")
    max_.save()
    form = {"login": "max", "password": "tungsten-Lantern", "next": "https://evil.example/"}
    assert client.post("/accounts/login/", form).headers["Location"] == "/"


def test_unknown_page_is_html_for_browsers_and_text_for_clients(client: Client) -> None:
    page = client.get("/docs/a/b", headers=BROWSER)
    sentence = client.get("/docs/a/b")

    assert (page.status_code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "<code>/docs/a/b</code> does not exist, or only members may see it." in page.content.decode()
    assert (sentence.status_code, sentence.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")
    assert sentence.content.decode() == "There is no page, file or endpoint at /docs/a/b.\n"


def test_unknown_page_escapes_the_address(client: Client) -> None:
    page = client.get("/<script>alert(1)<", headers=BROWSER)

    assert page.status_code == 404
    assert not INLINE.search(page.content.decode())


@pytest.mark.parametrize(("path", "status"), [("/admin/", 403), ("/status", 404)])
def test_refusal_of_the_hubs_own_pages_names_an_administrator(path: str, status: int, django_user_model: Any) -> None:
    page = signed_in(django_user_model.objects.create_user("max")).get(path, headers=BROWSER, follow=True)

    assert page.status_code == status
    assert "Ask an administrator of the hub." in page.content.decode()
    assert "owner of the channel" not in page.content.decode()


def test_the_hubs_failure_is_a_page_that_needs_no_request() -> None:
    page = render_to_string("500.html")

    assert "The hub failed to answer" in page
    assert "Sign in" not in page


def test_request_to_another_host_names_the_setting(client: Client) -> None:
    response = client.get("/demo/noarch/repodata.json", headers={"host": "other.example:80"})

    assert (response.status_code, response.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert response.content.decode() == (
        "This hub does not answer for 'other.example:80'. Set HUB_PUBLIC_URL, or add it to HUB_ALLOWED_HOSTS.\n"
    )


def test_the_hubs_failure_is_a_sentence_for_clients(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.raise_request_exception = False
    monkeypatch.setattr("channels_app.channels.queries.recent_packages", lambda actor, count: 1 / 0)

    plain, page = client.get("/"), client.get("/", headers=BROWSER)

    assert (plain.status_code, plain.headers["Content-Type"]) == (500, "text/plain; charset=utf-8")
    assert (page.status_code, page.headers["Content-Type"]) == (500, "text/html; charset=utf-8")


@pytest.mark.parametrize("path", ["/", "/nothing", "/accounts/login/", "/channels"])
def test_pages_allow_only_content_of_the_hub(client: Client, path: str) -> None:
    response = client.get(path, headers=BROWSER)

    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        **dict.fromkeys(["script-src", "style-src", "img-src", "font-src", "connect-src", "form-action"], "'self'"),
        **dict.fromkeys(["base-uri", "frame-ancestors"], "'none'"),
    }
    assert not INLINE.search(response.content.decode())


def test_every_static_file_and_icon_that_a_page_names_exists(
    client: Client, admin_client: Client, sam: User, settings: Settings
) -> None:
    settings.DEBUG = True
    pages = [home(client), home(signed_in(sam)), home(admin_client), page(client, "/styleguide")]
    make_channel("open", is_private=False, packages=1)
    pages += [home(client), page(admin_client, "/channels"), page(admin_client, "/channels/new")]
    errors = [client.get("/nothing", headers=BROWSER).content.decode(), render_to_string("500.html")]
    named = set(STATIC_FILES.findall("".join([*pages, *errors])))

    assert ("icons.svg", "lock") in named
    for path, fragment in named:
        found = finders.find(path)
        assert isinstance(found, str), path
        assert not fragment or f'id="{fragment}"' in Path(found).read_text(), f"{path}#{fragment}"


def test_the_sprite_holds_the_icons_that_templates_name_and_no_other() -> None:
    templates = "".join(path.read_text() for path in (settings.BASE_DIR / "templates").rglob("*.html"))
    code = "".join(path.read_text() for app in APPS for path in (settings.BASE_DIR / app).rglob("*.py"))
    sprite = set(re.findall(r'symbol id="([^"]+)"', (settings.BASE_DIR / "static" / "icons.svg").read_text()))

    assert set(re.findall(r'{% icon "([^"]+)"', templates)) <= sprite
    assert {name for name in sprite if f'"{name}"' not in code + templates and f"#{name}" not in templates} == set()
