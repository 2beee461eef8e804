"""Tests of mails about acts of administrators: affected users are notified, also if deactivated, at the old address."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from channels_app.models import ApiKey, AuditEvent, User
from channels_app.people import handing_over
from tests.builders import make_address, make_key, make_user
from tests.mailbox import arrived
from tests.pages import events, signed_in
from tests.people.test_handing_over import form_of, path_of

pytestmark = pytest.mark.django_db

PASSWORD, NEW = "tungsten-Lantern-7", "granite-Window-9"
SUBJECT = "An administrator changed your account"


@pytest.fixture
def root(db: None) -> Client:
    return signed_in(make_user("root", password=PASSWORD, is_superuser=True, is_staff=True))


@pytest.fixture
def ada(db: None) -> User:
    return make_user("ada", email="ada@example.org")


def mails() -> list[tuple[str, list[str]]]:
    return [(str(mail.subject), mail.to) for mail in arrived()]


def test_deactivated_user_is_mailed(root: Client, ada: User) -> None:
    assert root.post(path_of(ada), form_of(ada, is_active="")).status_code == 302
    assert mails() == [(SUBJECT, ["ada@example.org"])]


def test_deactivated_user_after_a_handover_is_mailed(ada: User) -> None:
    make_user("heir")
    handing_over.hand_over(by=None, user=ada, username="heir", deactivate=True)
    assert mails() == [(SUBJECT, ["ada@example.org"])]


@pytest.mark.parametrize("address", ["other@example.org", ""])
def test_changed_address_is_mailed_to_the_former_one(root: Client, ada: User, address: str) -> None:
    assert root.post(path_of(ada), form_of(ada, email=address)).status_code == 302
    assert mails() == [(SUBJECT, ["ada@example.org"])]


def test_objects_of_an_account_are_recorded_as_part_of_it(root: Client, ada: User) -> None:
    """Check a new verified address, with which a new password can be requested."""
    form: dict[str, Any] = {"user": ada.pk, "email": "other@example.org", "verified": "on"}
    assert root.post("/admin/account/emailaddress/add/", form).status_code == 302
    [(mail, to)] = [(str(each.body), each.to) for each in arrived()]
    assert to == ["ada@example.org"]
    assert "email address, email: none → other@example.org" in mail


def test_handover_is_mailed_to_both_users(root: Client, ada: User) -> None:
    address = make_address(ada, "ada@example.org")
    eve = make_user("eve", email="eve@example.org")
    form: dict[str, Any] = {"user": eve.pk, "email": "ada@example.org", "verified": "on", "primary": "on"}
    assert root.post(f"/admin/account/emailaddress/{address.pk}/change/", form).status_code == 302
    assert EmailAddress.objects.get().user == eve
    assert sorted(to for _, to in mails()) == [["ada@example.org"], ["eve@example.org"]]


def test_a_key_is_revoked_and_never_deleted(root: Client, ada: User) -> None:
    """Check that keys can't be deleted: a deletion would not notify the owner."""
    make_key(ada)
    key = ada.keys.get()
    address = f"/admin/channels_app/apikey/{key.pk}"
    assert root.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [str(key.pk)], "post": "yes"}
    root.post("/admin/channels_app/apikey/", form)
    assert ApiKey.objects.exists()
    assert root.get(f"{address}/change/").status_code == 200
    # Deleting the owner deletes the key.
    assert root.post(path_of(ada, "delete"), {"post": "yes"}).status_code == 302
    assert not ApiKey.objects.exists()


def test_the_administration_has_no_other_page_for_ones_own_password(root: Client) -> None:
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    answer = root.post("/admin/password_change/", form)
    assert answer.headers["Location"] == "/accounts/password/change/"
    assert User.objects.get(username="root").check_password(PASSWORD)
    own = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert root.post("/accounts/password/change/", own).status_code == 302
    assert [event[0] for event in events()] == ["account.password"]
    assert AuditEvent.objects.get().actor == User.objects.get(username="root")
