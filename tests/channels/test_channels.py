"""Tests of creating channels: names, first owner, the enqueued job, and the commands."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from channels_app.access.permissions import SCOPES
from channels_app.authentication import api_keys
from channels_app.channels import channels
from channels_app.models import ApiKey, AuditEvent, Channel, Member, Role, User
from hub.errors import HubError
from tests.builders import make_channel
from tests.pages import signed_in


def test_a_channel_has_an_owner_an_event_and_an_index_to_come(
    olga: User, sent_jobs: list[tuple[object, ...]], django_capture_on_commit_callbacks: object
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        channels.create(name="demo", owner=olga, is_private=True)
    assert Member.objects.get().role == Role.OWNER
    assert AuditEvent.objects.get().action == "channel.create"
    assert sent_jobs == [("publishing.tasks.build_stale_indexes",)]


@pytest.mark.parametrize("name", ["geo-tools", "conda-forge", "_private", "a", "0", "a.b_c-d", "a" * 128])
def test_check_name_of_a_valid_name_passes(name: str) -> None:
    channels.check_name(name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "can't name a channel"),
        ("Demo", "lower-case letters"),
        ("demo\n", "can't name a channel"),
        (".hidden", "the first a letter, a digit or '_'"),
        ("-dash", "can't name a channel"),
        ("a/b", "can't name a channel"),
        ("ä", "can't name a channel"),
        ("a" * 129, "up to 128"),
        ("noarch", "'noarch' is the name of a subdir"),
        ("linux-64", "'linux-64' is the name of a subdir"),
        ("api", "'api' is a path of the hub itself"),
        ("static", "'static' is a path of the hub itself"),
        ("t", "'t' is a path of the hub itself"),
        ("admin", "'admin' is a path of the hub itself"),
    ],
)
def test_check_name_of_a_bad_name_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(HubError) as caught:
        channels.check_name(name)
    assert caught.value.status == 400
    assert sentence in caught.value.detail


@pytest.mark.parametrize(
    ("name", "corrected"),
    [
        ("Geo Tools", "geo-tools"),
        ("geo-tools", "geo-tools"),
        ("Älg & Öl!", "alg-ol"),
        (" -.geo.-", "geo"),
        ("https://hub.example.org/Geo/", "geo"),
        ("a" * 200, "a" * 128),
        ("Noarch", ""),
        ("API", ""),
        ("地", ""),
        ("", ""),
    ],
)
def test_corrected_name_is_valid_or_empty(name: str, corrected: str) -> None:
    assert channels.corrected_name(name) == corrected
    if corrected:
        channels.check_name(corrected)


def test_page_offers_the_corrected_name(olga: User) -> None:
    browser = signed_in(olga)
    form = {"name": "Geo Tools", "is_private": "private"}
    shown = browser.post("/channels/new", form).content.decode()
    assert '<button class="button" name="name" value="geo-tools">Create geo-tools instead</button>' in shown
    assert browser.post("/channels/new", form | {"name": ["Geo Tools", "geo-tools"]}).status_code == 302
    assert Channel.objects.get().name == "geo-tools"
    assert "instead</button>" not in browser.post("/channels/new", form | {"name": "geo-tools"}).content.decode()


def test_a_name_is_taken_once(olga: User) -> None:
    make_channel("demo")
    with pytest.raises(HubError, match="There is a channel 'demo' already"):
        channels.create(name="demo", owner=olga, is_private=True)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue().strip()


def test_createchannel_prints_visibility_and_owner(olga: User) -> None:
    assert run("createchannel", "demo", "--owner", "olga") == "demo: a private channel of olga."
    assert run("createchannel", "open", "--owner", "olga", "--public") == "open: a public channel of olga."
    assert list(Channel.objects.values_list("name", "is_private")) == [("demo", True), ("open", False)]
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        run("createchannel", "third", "--owner", "nobody")
    with pytest.raises(CommandError, match="is a path of the hub itself"):
        run("createchannel", "api", "--owner", "olga")


def test_createapikey_prints_the_key_alone(channel: Channel, olga: User) -> None:
    secret = run("createapikey", "olga", "--name", "laptop", "--channel", "demo", "--scope", "upload", "--days", "3")
    key = api_keys.look_up(secret)
    assert key is not None
    assert (key.name, key.scopes, key.all_channels, list(key.channels.all())) == (
        "laptop",
        ["upload"],
        False,
        [channel],
    )
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days in (2, 3)


def test_createapikey_by_default_reads_all_channels_for_a_year(olga: User) -> None:
    key = api_keys.look_up(run("createapikey", "olga", "--name", "laptop"))
    assert key is not None
    assert (key.scopes, key.all_channels) == (["read"], True)
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days in (364, 365)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody", "--name", "x"], "There is no user 'nobody'"),
        (["olga", "--name", "x", "--channel", "nowhere"], "There is no channel nowhere"),
        (["olga", "--name", "x", "--days", "0"], "--days is 0"),
        (["olga", "--name", "x", "--scope", "own"], "invalid choice: 'own'"),
    ],
)
def test_createapikey_with_bad_arguments_is_refused(olga: User, arguments: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        run("createapikey", *arguments)
    assert not ApiKey.objects.exists()


def test_createapikey_of_an_unknown_scope_lists_the_scopes_as_they_are_typed(olga: User) -> None:
    with pytest.raises(CommandError) as refused:
        run("createapikey", "olga", "--name", "x", "--scope", "write")
    assert "Permission" not in str(refused.value)
    assert all(f"'{scope}'" in str(refused.value) for scope in SCOPES)
