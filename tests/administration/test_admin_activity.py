"""Tests of the audit log of the administration: every change is recorded with the old and the new value."""

import json
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialApp
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.test import Client, RequestFactory

from channels_app.administration.site import AuditMixin, audited
from channels_app.audit import descriptions, notifications
from channels_app.models import AuditEvent, Channel, Team, TeamMember, User
from tests.builders import make_address, make_key, make_team, make_user
from tests.pages import events, signed_in
from tests.people.test_handing_over import USERS, form_of, path_of

pytestmark = pytest.mark.django_db

NEW = "granite-Window-9"


@pytest.fixture
def root(db: None) -> Client:
    return signed_in(make_user("root", is_superuser=True, is_staff=True))


def changes() -> list[tuple[str, str, dict[str, Any]]]:
    return [(action, target, detail.get("changes", {})) for action, target, detail in events()]


def notes() -> list[str]:
    return descriptions.entry(AuditEvent.objects.latest("pk")).notes


def test_every_page_is_audited() -> None:
    assert not [model for model, pages in admin.site._registry.items() if not isinstance(pages, AuditMixin)]


def test_changed_user_is_recorded_with_former_values(root: Client, olga: User) -> None:
    group = Group.objects.create(name="ops")
    form: dict[str, Any] = form_of(olga, is_staff="on", is_superuser="on", email="o@example.org")
    assert root.post(path_of(olga), form | {"groups": [str(group.pk)]}).status_code == 302
    assert changes() == [
        (
            "user.change",
            "olga",
            {
                "email": {"from": "", "to": "o@example.org"},
                "is_staff": {"from": "False", "to": "True"},
                "is_superuser": {"from": "False", "to": "True"},
                "groups": {"from": "[]", "to": "['ops']"},
                "date_joined": changes()[0][2]["date_joined"],
            },
        )
    ]
    assert "is_superuser: False → True" in notes()
    assert notifications.recipients(AuditEvent.objects.get().pk) == [olga.pk]


def test_unchanged_form_records_no_event(root: Client, olga: User) -> None:
    olga.date_joined = olga.date_joined.replace(microsecond=0)
    olga.save()
    root.post(path_of(olga), form_of(olga))
    assert events() == []


def test_changed_password_is_mailed_without_its_value(root: Client, olga: User) -> None:
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    assert root.post(f"{USERS}{olga.pk}/password/", form).status_code == 302
    assert changes() == [("user.change", "olga", {"password": {"from": "hidden", "to": "hidden"}})]
    assert notes() == ["password: changed"]
    assert "pbkdf2" not in json.dumps(events())


def test_a_user_is_added_and_deleted(root: Client) -> None:
    form = {"username": "nora", "usable_password": "true", "password1": NEW, "password2": NEW}
    assert root.post(f"{USERS}add/", form).status_code == 302
    nora = User.objects.get(username="nora")
    assert root.post(path_of(nora, "delete"), {"post": "yes"}).status_code == 302
    assert [event[:2] for event in events()] == [("user.add", "nora"), ("user.delete", "nora")]
    assert changes()[0][2]["username"] == {"from": "", "to": "nora"}
    assert changes()[1][2]["username"] == {"from": "nora", "to": ""}


def test_a_channel_is_changed_as_by_its_own_pages(root: Client, channel: Channel, olga: User) -> None:
    form = {"description": "Maps", "allow_overwrite": "on", "allow_revision_3": "on"}
    assert root.post(f"/admin/channels_app/channel/{channel.pk}/change/", form).status_code == 302
    assert [event[:2] for event in events()] == [("channel.update", "demo"), ("policy.change", "demo")]
    assert events()[0][2] == {
        "description": {"from": "", "to": "Maps"},
        "is_private": {"from": True, "to": False},
    }
    assert olga.pk in {each for event in AuditEvent.objects.all() for each in recipient_ids(event)}


def recipient_ids(event: AuditEvent) -> list[int]:
    User.objects.update(email="a@example.org")
    return notifications.recipients(event.pk)


def test_bulk_actions_are_recorded_for_each_object(root: Client, olga: User, sam: User) -> None:
    for user in (olga, sam):
        make_address(user, f"{user}@example.org", verified=False)
    chosen = [str(pk) for pk in EmailAddress.objects.values_list("pk", flat=True)]
    root.post("/admin/account/emailaddress/", {"action": "make_verified", "_selected_action": chosen})
    verified = {"from": "False", "to": "True"}
    of_address, of_user = {"verified": verified}, {"email address, verified": verified}
    assert [event[::2] for event in changes()] == [("admin.change", of_address), ("user.change", of_user)] * 2
    root.post("/admin/account/emailaddress/", {"action": "delete_selected", "_selected_action": chosen, "post": "yes"})
    assert [event[0] for event in changes()[4:]] == ["admin.delete", "user.change"] * 2


def test_secrets_of_other_apps_are_hidden(root: Client) -> None:
    form = {"provider": "github", "name": "GitHub", "client_id": "id", "secret": "s3cret", "key": "k3y"}
    assert root.post("/admin/socialaccount/socialapp/add/", form | {"settings": "{}"}).status_code == 302
    app = SocialApp.objects.get()
    path = f"/admin/socialaccount/socialapp/{app.pk}/change/"
    assert root.post(path, form | {"secret": "an0ther", "settings": "{}"}).status_code == 302
    assert changes()[1] == (
        "admin.change",
        "social application GitHub",
        {"secret": {"from": "hidden", "to": "hidden"}},
    )
    assert not [secret for secret in ("s3cret", "an0ther", "k3y") if secret in json.dumps(events())]


def test_a_key_is_revoked_there_for_good(root: Client, olga: User) -> None:
    User.objects.filter(pk=olga.pk).update(email="olga@example.org")
    make_key(olga)
    key = olga.keys.get()
    address = "/admin/channels_app/apikey/"
    root.post(address, {"action": "revoke", "_selected_action": [str(key.pk)]})
    revoked_at = olga.keys.get().revoked_at
    assert revoked_at
    event = AuditEvent.objects.get(action="key.revoke")
    assert notifications.recipients(event.pk) == [olga.pk]
    # A revoked key stays revoked.
    for form in ({"revoked_at_0": "", "revoked_at_1": ""}, {"revoked_at_0": "2099-01-01", "revoked_at_1": "00:00:00"}):
        assert root.post(f"{address}{key.pk}/change/", {"name": "test", **form}).status_code == 302
        assert olga.keys.get().revoked_at == revoked_at


@pytest.mark.parametrize("codename", ["change_user", "view_user", "view_apikey", "change_apikey", "view_reservedname"])
def test_staff_without_superuser_rights_are_refused(root: Client, olga: User, codename: str) -> None:
    """Check that Django's single permissions have no effect: with one, staff could make themselves administrators."""
    pat = make_user("pat", is_staff=True)
    pat.user_permissions.add(Permission.objects.get(codename=codename))
    browser = signed_in(pat)
    for path in ("", f"channels_app/user/{pat.pk}/change/", f"channels_app/user/{olga.pk}/password/"):
        assert browser.get(f"/admin/{path}", follow=True).status_code == 403
    before = User.objects.get(username="root").password
    root_id = User.objects.get(username="root").pk
    browser.post(f"/admin/channels_app/user/{pat.pk}/change/", form_of(pat, is_staff="on", is_superuser="on"))
    password = {"password1": "a-Lantern-of-7", "password2": "a-Lantern-of-7", "usable_password": "true"}
    browser.post(f"/admin/channels_app/user/{root_id}/password/", password)
    assert not User.objects.get(username="pat").is_superuser
    assert User.objects.get(username="root").password == before
    assert 'href="/admin/"' not in browser.get("/").content.decode()


def test_rights_of_groups_are_recorded(root: Client) -> None:
    group = Group.objects.create(name="ops")
    right = Permission.objects.get(codename="change_user")
    form = {"name": "ops", "permissions": [str(right.pk)]}
    assert root.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 302
    [(action, target, changed)] = changes()
    assert (action, target) == ("admin.change", "group ops")
    assert changed["permissions"]["from"] == "[]"
    assert "change" in changed["permissions"]["to"]


class PeopleInline(admin.TabularInline):  # type: ignore[type-arg]
    model = TeamMember
    extra = 0


class TeamPages(admin.ModelAdmin):  # type: ignore[type-arg]
    inlines = [PeopleInline]


def test_rows_within_a_page_are_recorded(root: Client, olga: User, max_: User, sam: User) -> None:
    """Check inline rows, which no page has today."""
    team = make_team("mappers", max_, manager=olga)
    pages = audited(TeamPages)(Team, admin.site)
    first, second = team.people.order_by("pk")
    form = {
        "name": "mappers",
        "_continue": "1",
        "people-TOTAL_FORMS": "3",
        "people-INITIAL_FORMS": "2",
        **{f"people-{n}-team": str(team.pk) for n in range(3)},
        "people-0-id": str(first.pk),
        "people-0-user": str(first.user_id),
        "people-0-is_manager": "on",
        "people-1-id": str(second.pk),
        "people-1-user": str(second.user_id),
        "people-1-DELETE": "on",
        "people-2-user": str(sam.pk),
    }
    request = RequestFactory().post("/", form)
    request.user = User.objects.get(username="root")
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]
    request._messages = type("Messages", (), {"add": lambda *_: None})()  # type: ignore[attr-defined]
    pages.changeform_view(request, str(team.pk))
    rows = [event for event in changes() if event[0].startswith("admin.")]
    assert [event[0] for event in rows] == ["admin.add", "admin.change", "admin.delete"]
    assert rows[1][2] == {"is_manager": {"from": "False", "to": "True"}}
