"""Tests of an invitation's page: only with its link, only for the right account, and without leaking the secret."""

import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from channels_app.access.permissions import Actor
from channels_app.models import Channel, Member, Role, User
from channels_app.people import invitations
from tests.builders import make_address, make_member, make_user
from tests.pages import messages, signed_in, text

pytestmark = pytest.mark.django_db

PAGE, ADDRESS = "/invitations", "ada@example.org"


@pytest.fixture
def ada(db: None) -> User:
    ada = make_user("ada")
    make_address(ada, ADDRESS)
    return ada


@pytest.fixture
def link(channel: Channel, olga: User) -> str:
    actor = Actor(user=olga)
    invitation = invitations.invite(actor=actor, channel=channel, email=ADDRESS, role=Role.CONTRIBUTOR)
    return f"{PAGE}/{invitations.secret_of(invitation)}"


def test_the_secret_leaves_the_address_at_once(link: str) -> None:
    client = Client()
    response = client.get(link)
    assert (response.status_code, response.headers["Location"]) == (302, PAGE)
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in response.headers["Cache-Control"]
    secret = link.rpartition("/")[2]
    request = response.wsgi_request
    assert secret not in request.get_full_path() + request.META["PATH_INFO"] + request.META["RAW_URI"]
    assert secret not in str(dict(client.session))
    page = client.get(PAGE)
    assert "no-store" in page.headers["Cache-Control"]
    assert secret not in text(page)


def test_no_error_report_holds_the_secret(
    link: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(digest: str) -> None:
        raise RuntimeError(digest)

    monkeypatch.setattr(invitations, "find", fail)
    client = Client(raise_request_exception=False)
    assert client.get(link).status_code == 500
    assert "Internal Server Error: /invitations" in caplog.text
    assert link.rpartition("/")[2] not in caplog.text


def test_invitation_page_without_a_session_leads_to_sign_in(link: str) -> None:
    page = text(Client().get(link, follow=True))
    assert "Join demo?" in page
    assert "olga invites ada@example.org to this channel." in page
    assert '<span class="pill">Contributor</span>' in page
    assert f'href="{reverse("account_login")}?next={PAGE}"' in page
    assert 'value="accept"' not in page


def test_invitation_page_is_shown_after_signing_in(link: str, ada: User) -> None:
    client = Client()
    client.get(link)
    client.force_login(ada)
    assert 'value="accept"' in text(client.get(PAGE))


def test_invitation_accepted_by_the_page_adds_the_member(link: str, ada: User) -> None:
    client = signed_in(ada)
    client.get(link)
    response = client.post(PAGE, {"action": "accept"})
    assert response.headers["Location"] == "/channels/demo"
    assert messages(response) == ["You are a member of demo now: contributor."]
    assert Member.objects.filter(user=ada, role=Role.CONTRIBUTOR).exists()
    assert client.get(PAGE).status_code == client.get(link, follow=True).status_code == 404


def test_invitation_declined_by_the_page_adds_no_member(link: str, ada: User) -> None:
    client = signed_in(ada)
    client.get(link)
    response = client.post(PAGE, {"action": "decline"})
    assert messages(response) == ["You have declined the invitation to demo."]
    assert not invitations.pending().exists()
    assert not Member.objects.filter(user=ada).exists()


def test_invitation_page_of_another_account_names_the_invitee(link: str, sam: User) -> None:
    client = signed_in(sam)
    page = text(client.get(link, follow=True))
    sentence = "This invitation was sent to ada@example.org, which is not a verified address of your account 'sam'."
    assert escape(sentence) in page
    assert 'value="accept"' not in page
    refused = client.post(PAGE, {"action": "accept"}, follow=True)
    assert text(refused).count(escape(sentence)) == 2
    assert Member.objects.count() == 1


def test_invitation_page_of_a_member_leads_to_the_channel(link: str, channel: Channel, ada: User) -> None:
    make_member(channel, ada)
    page = text(signed_in(ada).get(link, follow=True))
    assert escape("You are a member of 'demo' already: viewer.") in page
    assert 'href="/channels/demo"' in page


def test_invitation_without_a_session_is_not_accepted(link: str) -> None:
    client = Client()
    client.get(link)
    assert 'value="accept"' not in text(client.post(PAGE, {"action": "accept"}))
    assert Member.objects.count() == 1


def test_accepting_needs_the_csrf_token(link: str, ada: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada)
    client.get(link)
    assert client.post(PAGE, {"action": "accept"}).status_code == 403
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text(client.get(PAGE)))
    assert token
    assert client.post(PAGE, {"action": "accept", "csrfmiddlewaretoken": token[1]}).status_code == 302


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/", f"{PAGE}/wrong", f"{PAGE}/a/b", f"{PAGE}/%F0%9F%8D%8E"])
def test_invalid_link_shows_an_error_without_a_session(link: str, path: str) -> None:
    client = Client()
    response = client.get(path, follow=True)
    assert response.status_code == 404
    assert "Invitation not found" in text(response)
    assert "sessionid" not in client.cookies


def test_an_old_link_ends_when_it_is_sent_again(link: str, channel: Channel, olga: User) -> None:
    invitations.invite(actor=Actor(user=olga), channel=channel, email=ADDRESS, role=Role.VIEWER)
    assert Client().get(link, follow=True).status_code == 404


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_invitation_page_by_other_methods_gets_405(db: None, method: str) -> None:
    assert getattr(Client(), method)(PAGE).status_code == 405
