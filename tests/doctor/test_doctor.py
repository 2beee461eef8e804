"""Tests of the connection doctor: each finding, and that pasted text is not kept."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from pytest_django import Settings

from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.doctor import addresses
from channels_app.doctor.findings import Finding
from channels_app.doctor.views import examine
from channels_app.models import ApiKey, Channel, Role, User
from tests.builders import (
    NO_KEY,
    make_channel,
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
    make_user,
)
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/doctor"
HUB = "https://hub.example.org"


@pytest.fixture(autouse=True)
def address(settings: Settings) -> None:
    settings.HUB_PUBLIC_URL, settings.PUBLIC_HOST = HUB, "hub.example.org"


def finding_lines(text: str, channel: str = "", session: Actor = ANONYMOUS) -> list[str]:
    """Return each finding with its fix, as a line."""
    return [f"{each.severity}: {each.found} {each.fix}".strip() for each in examine(text, channel, session)]


def wrong(text: str) -> list[Finding]:
    """Return the findings about URLs and options."""
    return addresses.examine(addresses.read(text))


@pytest.mark.parametrize(
    ("text", "found", "fix"),
    [
        (
            "https://repo.example.com/demo",
            "The address leads to repo.example.com, which is not this hub.",
            f"This hub is at {HUB}.",
        ),
        ("http://hub.example.org/demo", "The address begins with http://.", f"This hub is at {HUB}."),
        (f"{HUB}:8443/demo", "The address has the port 8443.", f"This hub is at {HUB}, port 443."),
        (f"{HUB}/api/v1/upload/", "The address names no channel.", "only the hub's address after --url."),
        (f"{HUB}/t/{NO_KEY}/channels/demo", "/t/KEY/ works only for the files of channels", "Sign in to see pages."),
        (f"conda install -c {HUB}/channels/demo a", "This is the address of the page of demo", f"is {HUB}/demo"),
        (
            "pixi auth login hub.example.org:8443 --token KEY",
            "pixi stores the key for “hub.example.org:8443”, with the port, and can't find it later.",
            f"Use the full address: pixi auth login {HUB} --token KEY",
        ),
        ("rattler-build upload prefix --channel demo a.conda", "Without --url the package goes to", f"Add --url {HUB}"),
        ("conda install -c demo numpy", "conda looks for the channel “demo” on anaconda.org.", f"{HUB}/demo"),
        ("mamba install --channel=demo numpy", "mamba looks for the channel “demo” on anaconda.org.", f"{HUB}/demo"),
    ],
)
def test_examine_wrong_address_or_option_names_the_fault(text: str, found: str, fix: str) -> None:
    [finding] = wrong(text)
    assert found in finding.found
    assert fix in finding.fix
    assert finding.severity in ("error", "warning")


@pytest.mark.parametrize(
    ("address", "text", "found"),
    [
        ("http://127.0.0.1:8000", "https://127.0.0.1:8000/demo", "The address begins with https://."),
        ("http://127.0.0.1:8000", "http://127.0.0.1/demo", "The address has the port 80."),
        ("http://hub.example.org", "pixi publish --to prefix://hub.example.org/demo", "prefix:// always uses https"),
    ],
)
def test_examine_address_on_an_http_hub_names_the_fault(
    settings: Settings, address: str, text: str, found: str
) -> None:
    settings.HUB_PUBLIC_URL = address
    assert found in wrong(text)[0].found


@pytest.mark.parametrize(
    ("text", "found", "fix"),
    [
        (
            f"conda install -c {HUB}/t/{NO_KEY}/demo a",
            "The key is in the address",
            "machine hub.example.org login",
        ),
        (
            "pixi auth login hub --conda-token a",
            "--conda-token sends the key in the address",
            "Use --token instead.",
        ),
        ("mamba auth login hub --token a", "--token sends the key in the address", "Use --bearer instead."),
    ],
)
def test_keys_in_addresses_that_are_switched_off(settings: Settings, text: str, found: str, fix: str) -> None:
    assert wrong(text) == []
    settings.HUB_PATH_KEYS = False
    [finding] = wrong(text)
    assert found in finding.found
    assert fix in finding.fix


@pytest.mark.parametrize(
    "text",
    [
        f"pixi auth login {HUB} --token KEY",
        "pixi auth login hub.example.org --token KEY",
        "mamba auth login hub.example.org:8443 --bearer KEY",
        f"rattler-build upload prefix --url {HUB} --channel demo a.conda",
        "pixi publish --to prefix://hub.example.org/demo",
        f"conda install --channel {HUB}/demo --channel https://conda.anaconda.org/conda-forge numpy",
        f"curl {HUB}/t/KEY/demo/noarch/repodata.json",
    ],
)
def test_examine_right_command_finds_no_fault(text: str) -> None:
    assert wrong(text) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "pixi auth login hub --token KEY",
            "error: This is a placeholder from an example. Replace it by your own key.",
        ),
        (f"conda install -c {HUB}/t//demo x", "error: The key is empty."),
        (f'curl -H "Authorization: Bearer " {HUB}/demo', "error: The key is empty."),
        (f"conda install -c {HUB}/t/<KEY>/demo x", "error: This is a placeholder from an example."),
        ("curl -u YOUR_API_KEY: https://hub.example.org/demo", "error: This is a placeholder from an example."),
        ("export PREFIX_API_KEY=None", "error: “None” is an unset value, not a key."),
        ("pixi auth login hub --token ***", "error: The key is masked"),
        (
            f"conda install -c {HUB}/t/${{{{ secrets.HUB_KEY }}}}/demo x",
            "info: The key comes from ${{ secrets.HUB_KEY }}.",
        ),
        ("pixi auth login hub --token $HUB_KEY", "info: The key comes from $HUB_KEY. Check that it is set"),
        ("pixi auth login hub --token pfx_abc", "error: This is not a key of this hub: its keys begin"),
        (NO_KEY[:-4], "error: The key is damaged: its checksum does not fit. It has 33 characters; a key has 37."),
        (NO_KEY, "error: The key has the right form, but this hub does not know it. It may be a key of another hub."),
        (f"{HUB}/demo", "info: The text has no key. Clients that are logged in send their stored key."),
    ],
)
def test_a_key_that_is_none(text: str, line: str) -> None:
    assert any(each.startswith(line) for each in finding_lines(text)), finding_lines(text)


def test_examine_revoked_or_expired_key_names_its_end(olga: User) -> None:
    secret = make_key(olga)
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert finding_lines(secret)[0].startswith("success: The key “test” of olga is valid until ")
    now = timezone.now()
    for fields, line in (
        ({"expires_at": now}, f"error: The key “test” of olga expired on {now:%d %B %Y}. Create a new key"),
        ({"revoked_at": now}, f"error: The key “test” of olga was revoked on {now:%d %B %Y}. Create a new key"),
    ):
        ApiKey.objects.update(**fields)
        assert finding_lines(secret)[0].startswith(line)
    ApiKey.objects.update(expires_at=None, revoked_at=None)
    User.objects.update(is_active=False)
    assert finding_lines(secret)[0].startswith("error: The key “test” of olga belongs to a deactivated user.")


def test_examine_every_kind_of_credential_describes_it(channel: Channel, olga: User) -> None:
    _, short_lived = make_short_lived_token(make_publisher(channel))
    for secret, line in (
        (make_key(olga), "success: The key “test” of olga is valid and does not expire. It is for: read, upload."),
        (
            make_robot(channel, olga),
            "success: The key “nightly” of demo is valid and does not expire. It is for: read, upload.",
        ),
        (f"Bearer {short_lived}", "success: The short-lived token of GitHub Actions: octo-org/sample is valid until "),
        (
            f"Bearer {make_token(olga, 'openid', 'channel:read')}",
            "success: This is a token of A tool, for olga. It is for: channel:read.",
        ),
    ):
        assert finding_lines(secret)[0].startswith(line)


def test_examine_key_lists_its_permissions_in_the_channel(channel: Channel, olga: User, sam: User) -> None:
    make_channel("hidden", owner=sam)
    make_channel("open", owner=sam, is_private=False)
    wide, narrow = make_key(olga), make_key(olga, scopes=("read",), channels=[channel])
    upload = "rattler-build upload prefix --url https://hub.example.org --api-key {} --channel {}"
    for pasted, name, line in (
        (wide, "demo", "success: Permissions of this credential in demo: read, upload."),
        (wide, "open", "success: Permissions of this credential in open: read."),
        (upload.format(wide, "open"), "", "error: olga may read 'open' but not upload there. Ask an owner"),
        (upload.format(narrow, "demo"), "", "error: The key is for read; this needs the scope upload. Create a key"),
        (narrow, "hidden", "error: The key is for demo, not for hidden. Create one for that channel"),
        (make_robot(channel, olga), "hidden", "error: The key is for demo, not for hidden."),
        ("demo", "open", "success: Permissions of everybody in open: read."),
        ("demo", "demo", "error: No key was sent, and anonymous users have no read access to 'demo'."),
    ):
        assert any(each.startswith(line) for each in finding_lines(pasted, name)), finding_lines(pasted, name)


@pytest.mark.parametrize("text", ["demo", NO_KEY])
def test_examine_hidden_and_missing_channel_finds_the_same(olga: User, sam: User, text: str) -> None:
    make_channel("hidden", owner=sam)
    for pasted in (text, make_key(olga), make_key(olga, scopes=("upload",))):
        lines = [[each.replace(name, "X") for each in finding_lines(pasted, name)] for name in ("hidden", "absent")]
        assert lines[0] == lines[1]


def test_examine_key_for_a_trusted_publishers_channel_is_an_error(channel: Channel, olga: User) -> None:
    Channel.objects.update(only_trusted_publishers=True)
    command = f"rattler-build upload prefix --url {HUB} --channel demo --api-key "
    assert "error: Only trusted publishers may upload to demo." in finding_lines(command + make_key(olga))[1]
    _, short_lived = make_short_lived_token(make_publisher(channel))
    assert finding_lines(command + short_lived)[1] == "success: Permissions of this credential in demo: upload."


def test_examine_limited_key_lists_its_package_names(channel: Channel, olga: User) -> None:
    command = f"rattler-build upload prefix --url {HUB} --channel demo --api-key "
    secret = make_key(olga, package_globs=["sample-*"])
    assert finding_lines(command + secret)[-1] == "info: It may only upload packages named sample-*."
    assert "sample" not in str(finding_lines(secret, "demo"))


def test_examine_session_describes_the_user(channel: Channel, olga: User, max_: User, sam: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    for user, line in (
        (olga, "info: Your own permissions in demo, signed in as olga: read, upload, delete, manage, own."),
        (max_, "info: Your own permissions in demo, signed in as max: read."),
        (sam, "info: Your own permissions in demo, signed in as sam: none."),
    ):
        assert finding_lines("demo", "demo", Actor(user=user))[-1] == line


def test_page_describes_the_session_of_the_browser(client: Client, olga: User) -> None:
    assert "This browser is not signed in and sees only public channels." in text(client.get(PAGE))
    assert "This browser is signed in as olga." in text(signed_in(olga).get(PAGE))


def test_page_does_not_repeat_the_pasted_text(
    client: Client, channel: Channel, olga: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = make_key(olga)
    for pasted in (secret, f"pixi auth login {HUB} --token {secret}", secret * 200):
        response = client.post(PAGE, {"text": pasted})
        assert response.status_code == 200
        assert "no-store" in response.headers["Cache-Control"]
        assert secret not in response.content.decode() + str(response.headers) + str(dict(client.session))
    assert secret not in caplog.text
    assert ApiKey.objects.get().last_used_at is None


def test_page_shows_the_findings(client: Client, channel: Channel, olga: User) -> None:
    page = text(client.post(PAGE, {"text": make_key(olga), "channel": "demo"}))
    assert escape("The key “test” of olga is valid and does not expire.") in page
    assert "Permissions of this credential in demo: read, upload." in page
    assert "Diagnose another" in page
    assert 'value="demo"' in page


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({}, "This field is required."),
        ({"text": "x" * 4001}, "Ensure this value has at most 4000 characters (it has 4001)."),
        ({"text": "a\0"}, "Null characters are not allowed."),
        ({"text": "a", "channel": "a\0"}, "Null characters are not allowed."),
    ],
)
def test_page_with_bad_input_shows_the_error(client: Client, form: dict[str, Any], sentence: str) -> None:
    page = client.post(PAGE, form)
    assert page.status_code == 200
    assert sentence in text(page)


def test_the_page_is_escaped(client: Client) -> None:
    page = text(client.post(PAGE, {"text": "pixi auth login <b>:1 --token <i>", "channel": "<u>"}))
    assert not any(tag in page for tag in ("<b>:", "<i>", "<u>"))


def test_other_methods_and_other_sites_are_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.put(PAGE).status_code == 404
    assert client.post(PAGE, {"text": "a"}, headers={"accept": "text/html"}).status_code == 403


def test_a_stranger_is_named_by_no_key_but_their_own(sam: User) -> None:
    secret = make_key(make_user("ann"))
    assert "ann" not in str(finding_lines(secret[:-1] + ("0" if secret[-1] != "0" else "1")))
