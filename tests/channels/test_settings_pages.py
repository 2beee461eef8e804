"""Tests of a channel's settings: access to each page, and the changes and errors of General and Policies."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.html import escape
from pytest_django import Settings

from channels_app.models import AuditEvent, Channel, Role, User
from hub.sizes import MIB
from tests.builders import make_member, picture
from tests.pages import events, messages, signed_in, text

pytestmark = pytest.mark.django_db

BASE = "/channels/demo"
GENERAL, MEMBERS, POLICIES = f"{BASE}/settings", f"{BASE}/settings/members", f"{BASE}/settings/policies"
ACTIVITY, DANGER = f"{BASE}/settings/activity", f"{BASE}/settings/danger"
LEAVE, RESTORE = f"{BASE}/leave", f"{BASE}/restore"


@pytest.fixture
def owner(channel: Channel, olga: User) -> Client:
    return signed_in(olga)


@pytest.mark.parametrize("path", [GENERAL, MEMBERS, POLICIES, ACTIVITY, DANGER, LEAVE, RESTORE])
def test_settings_pages_for_strangers_are_404(channel: Channel, client: Client, sam: User, path: str) -> None:
    for stranger in (client, signed_in(sam)):
        assert stranger.get(path).status_code == 404
        assert stranger.post(path).status_code == (405 if path == ACTIVITY else 404)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {LEAVE}),
        (Role.CONTRIBUTOR, {LEAVE}),
        (Role.MAINTAINER, {GENERAL, MEMBERS, POLICIES, ACTIVITY, LEAVE}),
        (Role.OWNER, {GENERAL, MEMBERS, POLICIES, ACTIVITY, DANGER, LEAVE}),
    ],
)
def test_each_role_opens_its_settings_pages(channel: Channel, max_: User, role: str, allowed: set[str]) -> None:
    make_member(channel, max_, role)
    client = signed_in(max_)
    for path in (GENERAL, MEMBERS, POLICIES, ACTIVITY, DANGER, LEAVE):
        if not (role == Role.CONTRIBUTOR and path == GENERAL):
            assert client.get(path).status_code == (200 if path in allowed else 403), path


@pytest.mark.parametrize("path", [GENERAL, MEMBERS, POLICIES, DANGER])
def test_contributor_changes_no_setting(channel: Channel, max_: User, path: str) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    form = {"action": "delete", "delete-confirm": "demo", "visibility": "public", "confirm_visibility": "on"}
    assert signed_in(max_).post(path, form).status_code == 403
    assert not AuditEvent.objects.exists()
    assert Channel.objects.get().deleted_at is None


def test_contributor_is_redirected_to_the_upload_page(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    response = signed_in(max_).get(GENERAL)
    assert (response.status_code, response.headers["Location"]) == (302, f"{BASE}/settings/upload")


MANAGING = [
    *("General", "Members", "Trusted publishers", "Channel keys", "Webhooks", "Notices", "Related channels", "Patches"),
    *("Retention", "Upload package", "Promotions", "Imports", "Watch", "Policies", "Activity"),
]


@pytest.mark.parametrize(
    ("role", "entries"),
    [
        (Role.CONTRIBUTOR, ["Upload package", "Promotions", "Imports", "Leave"]),
        (Role.MAINTAINER, [*MANAGING, "Leave"]),
        (Role.OWNER, [*MANAGING, "Leave", "Delete or transfer"]),
    ],
)
def test_sidebar_shows_the_permitted_pages(channel: Channel, max_: User, role: str, entries: list[str]) -> None:
    make_member(channel, max_, role)
    page = text(signed_in(max_).get(LEAVE))
    side = page[page.index('class="side"') : page.index("</nav>", page.index('class="side"'))]
    assert re.findall(r"</svg>([^<]+)</a>", side) == entries


@pytest.mark.parametrize("path", [GENERAL, MEMBERS, POLICIES, DANGER, LEAVE])
def test_other_methods_are_not_for_pages(owner: Client, path: str) -> None:
    assert owner.put(path).status_code == owner.delete(path).status_code == 405


@pytest.mark.parametrize("path", [GENERAL, MEMBERS, POLICIES, DANGER, LEAVE, RESTORE])
def test_every_form_needs_its_token(channel: Channel, olga: User, path: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(olga)
    assert strict.post(path).status_code == 403


@pytest.mark.parametrize("path", [GENERAL, MEMBERS, POLICIES, ACTIVITY, DANGER, LEAVE])
def test_settings_pages_comply_with_the_content_policy(owner: Client, path: str) -> None:
    assert not re.search(r"<style|<script(?! (?:type=\"module\" )?src=)|\sstyle=|\son[a-z]+=", text(owner.get(path)))


def test_administrator_has_every_setting_but_no_leave_page(channel: Channel, admin_client: Client) -> None:
    assert all(admin_client.get(path).status_code == 200 for path in (GENERAL, MEMBERS, POLICIES, ACTIVITY, DANGER))
    assert admin_client.get(LEAVE).status_code == 403
    assert LEAVE not in text(admin_client.get(GENERAL))


def test_the_description_is_saved_in_one_line(owner: Client) -> None:
    response = owner.post(GENERAL, {"description": "Maps,\r\n  and more ", "visibility": "private"})
    assert (response.status_code, response.headers["Location"]) == (302, GENERAL)
    assert messages(response) == ["The settings are saved."]
    assert Channel.objects.get().description == "Maps, and more"
    assert events() == [("channel.update", "demo", {"description": {"from": "", "to": "Maps, and more"}})]


def test_saving_unchanged_settings_records_no_event(owner: Client) -> None:
    assert owner.post(GENERAL, {"description": "", "visibility": "private"}).status_code == 302
    assert events() == []


def test_a_channel_becomes_public_only_with_the_box_ticked(owner: Client) -> None:
    response = owner.post(GENERAL, {"visibility": "public"})
    assert "This makes the channel public. Tick this box to confirm." in text(response)
    assert Channel.objects.get().is_private
    owner.post(GENERAL, {"visibility": "public", "confirm_visibility": "on"})
    assert not Channel.objects.get().is_private
    assert events() == [("channel.update", "demo", {"is_private": {"from": True, "to": False}})]


def test_a_channel_becomes_private_only_with_the_box_ticked(owner: Client) -> None:
    Channel.objects.update(is_private=False)
    assert "This makes the channel private." in text(owner.post(GENERAL, {"visibility": "private"}))
    owner.post(GENERAL, {"visibility": "private", "confirm_visibility": "on"})
    assert Channel.objects.get().is_private


def test_a_logo_comes_and_goes(owner: Client) -> None:
    owner.post(GENERAL, {"visibility": "private", "logo": SimpleUploadedFile("logo.png", picture(), "image/png")})
    logo = bytes(Channel.objects.get().logo or b"")
    assert logo.startswith(b"\x89PNG")
    assert "Remove the logo" in text(owner.get(GENERAL))
    owner.post(GENERAL, {"visibility": "private", "description": "With a logo."})
    assert bytes(Channel.objects.get().logo or b"") == logo
    owner.post(GENERAL, {"visibility": "private", "description": "With a logo.", "remove_logo": "on"})
    assert Channel.objects.get().logo is None
    assert [detail.get("logo") for _, _, detail in events()] == [{"to": "another"}, None, {"to": "none"}]


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"visibility": "private", "description": "x" * 501}, "Ensure this value has at most 500 characters"),
        ({"visibility": "secret"}, "Select a valid choice. secret is not one of the available choices."),
        ({}, "This field is required."),
        (
            {"visibility": "private", "logo": SimpleUploadedFile("x.svg", b"<svg/>")},
            "The logo can't be read as a picture; expected PNG, JPEG, WebP or GIF.",
        ),
        (
            {"visibility": "private", "logo": SimpleUploadedFile("x.png", bytes(257 * 1024))},
            "The logo is larger than 256 KiB; make it smaller.",
        ),
    ],
)
def test_general_settings_with_bad_input_are_refused(owner: Client, form: dict[str, object], sentence: str) -> None:
    response = owner.post(GENERAL, form)
    assert response.status_code == 200
    assert escape(sentence) in text(response)
    assert events() == []


ALL_OFF = {"max_upload_mib": ""}


def test_policies_form_changes_every_policy(owner: Client) -> None:
    form = {
        "allow_overwrite": "on",
        "only_trusted_publishers": "on",
        "require_attestation": "on",
        "max_upload_mib": "5",
    }
    response = owner.post(POLICIES, form)
    assert messages(response) == ["The policies are saved and apply from the next upload."]
    channel = Channel.objects.get()
    assert (channel.allow_overwrite, channel.allow_revision_3) == (True, False)
    assert (channel.only_trusted_publishers, channel.require_attestation) == (True, True)
    assert channel.upload_limit_bytes == 5 * MIB
    assert events() == [
        (
            "policy.change",
            "demo",
            {
                "allow_overwrite": {"from": False, "to": True},
                "allow_revision_3": {"from": True, "to": False},
                "only_trusted_publishers": {"from": False, "to": True},
                "require_attestation": {"from": False, "to": True},
                "max_upload_bytes": {"from": None, "to": 5 * MIB},
            },
        )
    ]


def test_an_empty_limit_is_the_hubs(owner: Client, settings: Settings) -> None:
    owner.post(POLICIES, {"max_upload_mib": "5"})
    owner.post(POLICIES, ALL_OFF)
    assert Channel.objects.get().upload_limit_bytes == settings.HUB_MAX_UPLOAD_BYTES


def test_a_limit_of_odd_bytes_stays_unless_it_is_changed(owner: Client) -> None:
    Channel.objects.update(max_upload_bytes=5 * MIB - 1)
    assert 'value="5"' in text(owner.get(POLICIES))
    owner.post(POLICIES, {"max_upload_mib": "5"})
    assert Channel.objects.get().max_upload_bytes == 5 * MIB - 1


def test_only_an_administrator_sets_a_limit_above_the_hubs(owner: Client, admin_user: User, settings: Settings) -> None:
    settings.HUB_MAX_UPLOAD_BYTES = 10 * MIB
    response = owner.post(POLICIES, {"max_upload_mib": "11"})
    assert escape("The limit is 11 MiB; expected at most the hub's own, 10 MiB.") in text(response)
    assert Channel.objects.get().max_upload_bytes is None
    signed_in(admin_user).post(POLICIES, {"max_upload_mib": "11"})
    assert Channel.objects.get().max_upload_bytes == 11 * MIB
    # A limit set by an administrator does not prevent an owner's other changes.
    assert owner.post(POLICIES, {"max_upload_mib": "11", "allow_overwrite": "on"}).status_code == 302


@pytest.mark.parametrize("limit", ["0", "-3", "1.5", "many", "9" * 40])
def test_policies_with_a_bad_limit_are_refused(owner: Client, limit: str) -> None:
    response = owner.post(POLICIES, {"max_upload_mib": limit})
    assert 'class="errorlist"' in text(response)
    assert events() == []
