"""Tests of the page of one's API keys: its form, the created keys, and their rights."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape, strip_tags
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.authentication import api_keys
from channels_app.models import ApiKey, Channel, Member, Role, Team, TeamMember, User
from tests.builders import make_channel, make_key, make_member
from tests.client_commands import PROGRAMS, looked_up_host, parse, stored_host
from tests.pages import Response, events, messages, signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/account/keys"
LAPTOP = {"name": "laptop", "scopes": ["read"], "which": "all", "lifetime": "365"}
LINES = re.compile(r"<code>(.*?)</code>|<pre tabindex=\"0\">(.*?)</pre>", re.DOTALL)
SECRET = re.compile(r"chub-[0-9A-Za-z]{32}")


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


def made(response: Response) -> str:
    """Return the secret that the page shows."""
    assert response.status_code == 200
    found = set(SECRET.findall(response.content.decode()))
    assert len(found) == 1, strip_tags(text(response))[:2000]
    return str(found.pop())


def offered(client: Client, field: str) -> list[str]:
    return re.findall(rf'name="{field}" value="([^"]*)"', client.get(PAGE).content.decode())


def upload(secret: str) -> int:
    """Return the status of an empty upload: 400 if the key may upload."""
    headers = {"authorization": f"Bearer {secret}"}
    return (
        Client().post("/api/v1/upload/demo", b"", content_type="application/octet-stream", headers=headers).status_code
    )


def test_keys_page_without_a_session_leads_to_sign_in(client: Client) -> None:
    for answer in (client.get(PAGE), client.post(PAGE, LAPTOP)):
        assert answer.headers["Location"] == f"/accounts/login/?next={PAGE}"
    assert not ApiKey.objects.exists()


def test_other_methods_are_not_for_pages(owner: Client) -> None:
    assert owner.put(PAGE).status_code == owner.delete(PAGE).status_code == 405


def test_a_key_can_make_no_other(client: Client, channel: Channel, olga: User) -> None:
    secret = make_key(olga, scopes=("read", "manage"))
    answer = client.post(PAGE, LAPTOP, headers={"authorization": f"Bearer {secret}"})
    assert answer.status_code == 302
    assert ApiKey.objects.count() == 1


def test_a_form_of_another_site_makes_none(olga: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    assert client.post(PAGE, LAPTOP).status_code == 403
    assert not ApiKey.objects.exists()


def test_a_key_is_made_shown_once_and_works(owner: Client, channel: Channel, olga: User) -> None:
    response = owner.post(PAGE, LAPTOP | {"scopes": ["upload", "read"], "package_globs": "Sample-*, other\nthird"})
    secret = made(response)
    assert "no-store" in response.headers["Cache-Control"]
    key = ApiKey.objects.get()
    assert (key.owner, key.kind, key.name, key.scopes) == (olga, "personal", "laptop", ["read", "upload"])
    assert (key.all_channels, key.package_globs) == (True, ["other", "sample-*", "third"])
    assert key.expires_at is not None
    assert timedelta(days=364) < key.expires_at - timezone.now() <= timedelta(days=365)
    assert upload(secret) == 400
    page = owner.get(PAGE)
    assert secret not in page.content.decode()
    assert secret[:11] in page.content.decode()
    assert "no-store" in page.headers["Cache-Control"]
    [(action, target, detail)] = events()
    assert (action, target) == ("key.create", "laptop")
    assert secret not in str(detail)
    assert messages(response) == []
    assert secret not in str(dict(owner.session))


def test_a_page_that_is_loaded_again_makes_no_second_key(owner: Client) -> None:
    made(owner.post(PAGE, LAPTOP))
    page = text(owner.post(PAGE, LAPTOP))
    assert escape("There is a key called 'laptop' already; revoke it first, or choose another name.") in page
    assert ApiKey.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        (None, ["read"]),
        (Role.VIEWER, ["read"]),
        (Role.CONTRIBUTOR, ["read", "upload"]),
        (Role.MAINTAINER, ["read", "upload", "delete", "manage"]),
    ],
)
@pytest.mark.parametrize("by_team", [False, True])
def test_only_scopes_that_some_role_gives_are_offered(
    channel: Channel, sam: User, role: str | None, scopes: list[str], by_team: bool
) -> None:
    if role and by_team:
        team = Team.objects.create(name="all")
        TeamMember.objects.create(team=team, user=sam)
        Member.objects.create(channel=channel, team=team, role=role)
    elif role:
        make_member(channel, sam, role)
    client = signed_in(sam)
    assert offered(client, "scopes") == scopes
    assert ('name="package_globs"' in text(client.get(PAGE))) == ("upload" in scopes)
    made(client.post(PAGE, LAPTOP | {"scopes": scopes}))
    if "upload" not in scopes:
        page = text(client.post(PAGE, LAPTOP | {"name": "more", "scopes": ["read", "upload"]}))
        assert "Select a valid choice. upload is not one of the available choices." in page
    assert ApiKey.objects.get().scopes == scopes


def test_administrators_have_every_scope(sam: User) -> None:
    sam.is_superuser = True
    sam.save()
    assert offered(signed_in(sam), "scopes") == ["read", "upload", "delete", "manage"]


def test_a_key_is_never_stronger_than_its_owner_is_now(channel: Channel, sam: User) -> None:
    member = make_member(channel, sam, Role.CONTRIBUTOR)
    secret = made(signed_in(sam).post(PAGE, LAPTOP | {"scopes": ["read", "upload"]}))
    statuses = []
    for role in (Role.CONTRIBUTOR, Role.VIEWER, Role.MAINTAINER):
        member.role = role
        member.save()
        statuses.append(upload(secret))
    member.delete()
    assert [*statuses, upload(secret)] == [400, 403, 400, 403]
    file = Client().get("/demo/noarch/repodata.json", headers={"authorization": f"Bearer {secret}"})
    assert file.status_code == 403


def test_a_key_for_some_channels_is_for_those_alone(owner: Client, channel: Channel, olga: User, sam: User) -> None:
    make_channel("other", owner=olga)
    make_channel("secret", owner=sam)
    make_channel("gone", owner=olga, deleted_at=timezone.now())
    assert offered(owner, "channels") == ["demo", "other"]
    secret = made(owner.post(PAGE, LAPTOP | {"which": "some", "channels": ["other"]}))
    key = ApiKey.objects.get()
    assert (key.all_channels, [str(each) for each in key.channels.all()]) == (False, ["other"])
    headers = {"authorization": f"Bearer {secret}"}
    statuses = [
        Client().get(f"/{name}/noarch/repodata.json", headers=headers).status_code for name in ("other", "demo")
    ]
    assert statuses == [200, 403]


@pytest.mark.parametrize(
    ("lifetime", "days"), [("30", 30), ("90", 90), ("365", 365), ("never", None), ("date", "2099-12-31")]
)
def test_key_of_every_lifetime_expires_then(owner: Client, lifetime: str, days: Any) -> None:
    made(owner.post(PAGE, LAPTOP | {"lifetime": lifetime, "expires_on": days if lifetime == "date" else ""}))
    expires_at = ApiKey.objects.get().expires_at
    if isinstance(days, int):
        assert expires_at is not None
        assert timedelta(days=days) - (expires_at - timezone.now()) < timedelta(minutes=1)
    else:
        assert expires_at == (datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC) if days else None)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 101}, "Ensure this value has at most 100 characters (it has 101)."),
        ({"name": "a\0"}, "Null characters are not allowed."),
        ({"scopes": []}, "Choose at least one permission."),
        ({"scopes": ["own"]}, "Select a valid choice. own is not one of the available choices."),
        ({"which": ""}, "This field is required."),
        ({"which": "some"}, "Choose at least one channel."),
        ({"which": "some", "channels": ["secret"]}, "Select a valid choice. secret is not one of the available"),
        ({"which": "some", "channels": ["\0"]}, "Select a valid choice."),
        (
            {"package_globs": "x" * 300},
            "A key takes at most 50 package names of at most 64 characters.",
        ),
        ({"lifetime": "7"}, "Select a valid choice. 7 is not one of the available choices."),
        ({"lifetime": "date"}, "Choose the last day on which the key works."),
        ({"lifetime": "date", "expires_on": "soon"}, "Enter a valid date."),
        (
            {"lifetime": "date", "expires_on": "2020-01-31"},
            "The key would expire on 2020-01-31; expected a time in the future",
        ),
    ],
)
def test_key_with_bad_input_shows_the_error(owner: Client, sam: User, form: dict[str, Any], sentence: str) -> None:
    make_channel("secret", owner=sam)
    response = owner.post(PAGE, LAPTOP | form)
    assert response.status_code == 200
    assert escape(sentence) in text(response)
    assert not ApiKey.objects.exists()


def test_revoking_is_asked_once_more(owner: Client, olga: User) -> None:
    secret = make_key(olga)
    key = ApiKey.objects.get()
    assert "Revoke the key test?" in text(owner.get(f"{PAGE}?revoke={key.pk}"))
    for nobody in ("0", "x", "%00", str(key.pk + 1)):
        assert "?</h2>" not in text(owner.get(f"{PAGE}?revoke={nobody}"))
    response = owner.post(PAGE, {"revoke": str(key.pk)})
    assert (messages(response), response.headers["Location"]) == (["The key test is revoked."], PAGE)
    assert upload(secret) == 401
    assert [action for action, _, _ in events()] == ["key.create", "key.revoke"]
    assert "No key yet" in text(owner.get(PAGE))


@pytest.mark.parametrize("value", ["x", "", "9" * 30, "\0", "²"])
def test_revoking_a_missing_key_is_404(owner: Client, value: str) -> None:
    assert owner.post(PAGE, {"revoke": value}).status_code == 404


def test_revoking_another_users_key_keeps_it(owner: Client, sam: User) -> None:
    secret = make_key(sam)
    key = ApiKey.objects.get()
    assert "Revoke the key" not in text(owner.get(f"{PAGE}?revoke={key.pk}"))
    assert secret[:11] not in text(owner.get(PAGE))
    assert owner.post(PAGE, {"revoke": str(key.pk)}).status_code == 404
    assert api_keys.look_up(secret)


def test_list_shows_scopes_and_channels_of_a_key(owner: Client, channel: Channel, olga: User) -> None:
    make_key(olga, scopes=("upload",), channels=[channel], package_globs=["sample-*"])
    page = text(owner.get(PAGE))
    assert '<td data-label="Channels">demo</td>' in page
    assert "only <code>sample-*</code>" in page
    assert '<td class="faint" data-label="Last used">never</td>' in page
    assert '<td class="faint" data-label="Expires">never</td>' in page


@pytest.mark.parametrize(
    ("days", "shown"), [(-1, "Expired</span>"), (3, "Until 24 Nov 2026</span>"), (60, '"Expires">20 Jan 2027</td>')]
)
def test_expiring_and_expired_keys_are_marked(
    owner: Client, olga: User, days: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)
    make_key(olga)
    ApiKey.objects.update(expires_at=now + timedelta(days=days))
    assert shown in text(owner.get(PAGE))


def test_a_key_whose_channels_are_gone_is_for_none(owner: Client, channel: Channel, olga: User) -> None:
    make_key(olga, channels=[channel])
    channel.delete()
    assert '<td data-label="Channels">none</td>' in text(owner.get(PAGE))


def test_key_form_without_channels_has_no_choice_of_channels(sam: User) -> None:
    client = signed_in(sam)
    assert '<input type="hidden" name="which" value="all">' in text(client.get(PAGE))
    made(client.post(PAGE, LAPTOP))


def test_the_page_is_escaped(owner: Client, olga: User) -> None:
    page = text(owner.post(PAGE, LAPTOP | {"name": "<b>&x"}))
    key = ApiKey.objects.get()
    for each in (page, text(owner.get(PAGE)), text(owner.get(f"{PAGE}?revoke={key.pk}"))):
        assert "<b>" not in each
        assert "&lt;b&gt;&amp;x" in each


@pytest.mark.parametrize("count", [1, 20])
def test_the_list_costs_as_many_queries_for_20_as_for_1(
    owner: Client, channel: Channel, olga: User, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for _ in range(count):
        make_key(olga, channels=[channel])
    with django_assert_max_num_queries(8):
        assert owner.get(PAGE).content.count(b"?revoke=") == count


@pytest.mark.parametrize("address", ["https://hub.example.com", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("path_keys", [True, False])
def test_commands_of_a_new_key_are_accepted_by_clients(
    owner: Client, settings: Settings, address: str, path_keys: bool
) -> None:
    settings.HUB_PUBLIC_URL, settings.HUB_PATH_KEYS = address, path_keys
    response = owner.post(PAGE, LAPTOP | {"which": "some", "channels": ["demo"]})
    secret = made(response)
    lines = [unescape(strip_tags(code or pre)) for code, pre in LINES.findall(response.content.decode())]
    found = [parse(line) for line in lines if line.partition(" ")[0] in PROGRAMS]
    logins = [each for each in found if each.name[1:] == ("auth", "login")]
    assert {each.name[0] for each in logins} == {"pixi", "mamba", "rattler-build"}
    assert {stored_host(each.arguments[0]) for each in logins} == {looked_up_host(address)}
    assert all(secret in each.options.values() for each in logins)
    installs = [each.options["--channel"] for each in found if each.name == ("conda", "install")]
    assert installs == ([f"{address}/t/{secret}/demo"] if path_keys else [])
    assert f"machine {looked_up_host(address)} login me password {secret}" in lines
    [curl] = [line for line in lines if line.startswith("curl ")]
    assert curl.endswith(f"{address}/api/v1/whoami?channel=demo")
