"""Tests of invitations by mail: sending, renewing and withdrawing, their recipient, and their expiry."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app import tasks
from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.audit import outbox
from channels_app.models import Channel, Invitation, Member, Outgoing, Role, User
from channels_app.people import invitations, members
from publishing import housekeeping
from tests.builders import make_address, make_key, make_member, make_user
from tests.pages import events
from tests.refusals import refused
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db

ADDRESS = "ada@example.org"


@pytest.fixture
def ada(db: None) -> User:
    """Return a user with the verified address ADDRESS."""
    ada = make_user("ada")
    make_address(ada, ADDRESS)
    return ada


def invite(channel: Channel, user: User, email: str = ADDRESS, role: str = Role.CONTRIBUTOR) -> Invitation:
    return invitations.invite(actor=Actor(user=user), channel=channel, email=email, role=role)


def role_of(user: User) -> str | None:
    return Member.objects.filter(user=user).values_list("role", flat=True).first()


def test_an_invitation_becomes_a_membership(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga, " ADA@example.org ")
    assert invitation.expires_at - timezone.now() > timedelta(days=6, hours=23)
    invitations.accept(user=ada, invitation=invitation)
    assert role_of(ada) == Role.CONTRIBUTOR
    assert Permission.UPLOAD in permissions(Actor(user=ada), channel)
    assert not Invitation.objects.exists()
    assert events() == [
        ("invitation.send", ADDRESS, {"role": "contributor"}),
        ("invitation.accept", "ada", {"role": "contributor"}),
    ]


def test_invitation_is_accepted_once(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga)
    invitations.accept(user=ada, invitation=invitation)
    members.remove(actor=Actor(user=olga), channel=channel, username="ada")
    with refused(
        404,
        "no_invitation",
        "The invitation is no longer valid: it was used, withdrawn or sent again, or it has expired.",
    ):
        invitations.accept(user=ada, invitation=invitation)


def test_the_secret_is_kept_nowhere_and_another_one_each_time(channel: Channel, olga: User) -> None:
    first = invite(channel, olga)
    secret = invitations.secret_of(first)
    assert len(secret) == 43
    assert invitations.find(invitations.digest_of(secret)) == first
    row = Invitation.objects.values().get()
    assert secret not in str(row)
    assert secret not in str(events())
    second = invite(channel, olga, role=Role.VIEWER)
    assert (second.pk, second.role) == (first.pk, "viewer")
    assert invitations.secret_of(second) != secret
    assert invitations.find(invitations.digest_of(secret)) is None


def test_the_secret_follows_from_the_row_as_it_is_read_again(channel: Channel, olga: User) -> None:
    invitation = invite(channel, olga)
    secret = invitations.secret_of(Invitation.objects.get())
    assert invitations.digest_of(secret) == invitation.digest


@pytest.mark.parametrize("email", ["ada", "a@b", "ada@example.org\nBcc: all@example.org", "a b@example.org"])
def test_only_addresses_are_invited(channel: Channel, olga: User, email: str) -> None:
    with refused(400, "bad_email", "is not an e-mail address."):
        invite(channel, olga, email)


def test_owners_alone_invite_owners_and_touch_their_invitations(channel: Channel, olga: User, max_: User) -> None:
    make_member(channel, max_, Role.MAINTAINER)
    with refused(403, "owners_only", "Only owners of 'demo' can add or remove owners"):
        invite(channel, max_, role=Role.OWNER)
    invite(channel, olga, role=Role.OWNER)
    with refused(403, "owners_only", "Only owners"):
        invite(channel, max_, role=Role.VIEWER)
    with refused(403, "owners_only", "Only owners"):
        invitations.withdraw(actor=Actor(user=max_), channel=channel, name_or_address=ADDRESS)
    with refused(400, "bad_role", "'boss' is not a role"):
        invite(channel, olga, role="boss")


@pytest.mark.parametrize(("role", "code"), [(Role.VIEWER, "role_missing"), (Role.CONTRIBUTOR, "role_missing")])
def test_members_below_maintainer_may_not_invite_or_withdraw(
    channel: Channel, olga: User, max_: User, role: str, code: str
) -> None:
    make_member(channel, max_, role)
    invite(channel, olga)
    with refused(403, code, "max may read 'demo' but not manage there"):
        invite(channel, max_)
    with refused(403, code, "not manage there"):
        invitations.withdraw(actor=Actor(user=max_), channel=channel, name_or_address=ADDRESS)


def test_strangers_and_keys_without_the_scope_may_not_invite(channel: Channel, olga: User, sam: User) -> None:
    make_key(olga)
    with refused(403, "no_access", "sam has no manage access to 'demo'"):
        invite(channel, sam)
    with refused(403, "scope_missing", "this needs a key with 'manage'"):
        invitations.invite(
            actor=Actor(user=olga, key=olga.keys.get()), channel=channel, email=ADDRESS, role=Role.VIEWER
        )
    with refused(403, "person_needed", "Only users can send invitations"):
        invitations.invite(actor=Actor(key=olga.keys.get()), channel=channel, email=ADDRESS, role=Role.VIEWER)


def test_a_withdrawn_one_is_gone(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga)
    invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address=ADDRESS)
    with refused(404, "no_invitation", "The invitation is no longer valid"):
        invitations.accept(user=ada, invitation=invitation)
    with refused(404, "no_invitation", "There is no pending invitation of ada@example.org to 'demo'."):
        invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address=ADDRESS)


@pytest.mark.parametrize("address", [None, "other@example.org", "unverified"])
def test_the_link_alone_is_not_enough(channel: Channel, olga: User, sam: User, address: str | None) -> None:
    if address == "unverified":
        make_address(sam, ADDRESS, verified=False)
    elif address:
        make_address(sam, address)
    invitation = invite(channel, olga)
    sentence = "This invitation was sent to ada@example.org, which is not a verified address of your account 'sam'."
    with refused(403, "not_your_address", sentence):
        invitations.accept(user=sam, invitation=invitation)
    with refused(403, "not_your_address", sentence):
        invitations.decline(user=sam, invitation=invitation)


def test_invitation_ends_after_seven_days_and_is_deleted(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with refused(404, "no_invitation", "The invitation is no longer valid"):
        invitations.accept(user=ada, invitation=invitation)
    assert not invitations.is_invited(ADDRESS)
    housekeeping.remove_leftovers()
    assert not Invitation.objects.exists()


def test_invitation_ends_with_the_inviters_right(channel: Channel, olga: User, max_: User, ada: User) -> None:
    make_member(channel, max_, Role.OWNER)
    invitation = invite(channel, max_, role=Role.OWNER)
    sentence = "The person who invited you may no longer give that role in 'demo'."
    members.change(actor=Actor(user=olga), channel=channel, username="max", role=Role.MAINTAINER)
    with refused(403, "inviter_may_not", sentence):
        invitations.accept(user=ada, invitation=invitation)
    members.remove(actor=Actor(user=olga), channel=channel, username="max")
    with refused(403, "inviter_may_not", sentence):
        invitations.accept(user=ada, invitation=invitation)
    max_.delete()
    with refused(403, "inviter_may_not", sentence):
        invitations.accept(user=ada, invitation=invitation)


def test_invitation_ends_with_the_inviters_account(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga)
    User.objects.filter(pk=olga.pk).update(is_active=False)
    with refused(403, "inviter_may_not", "The person who invited you may no longer give that role"):
        invitations.accept(user=ada, invitation=invitation)


def test_invitation_of_a_member_keeps_their_role(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga, role=Role.MAINTAINER)
    make_member(channel, ada, Role.VIEWER)
    with refused(409, "is_member", "You are a member of 'demo' already: viewer."):
        invitations.accept(user=ada, invitation=invitation)


def test_invitation_into_a_deleted_channel_is_refused(channel: Channel, olga: User, ada: User) -> None:
    invitation = invite(channel, olga)
    Channel.objects.update(deleted_at=timezone.now())
    with refused(404, "no_invitation", "The invitation is no longer valid"):
        invitations.accept(user=ada, invitation=invitation)
    assert not invitations.is_invited(ADDRESS)


def test_declined_invitation_adds_no_member(channel: Channel, olga: User, ada: User) -> None:
    invitations.decline(user=ada, invitation=invite(channel, olga))
    assert role_of(ada) is None
    assert not invitations.pending().exists()
    assert events()[-1] == ("invitation.decline", ADDRESS, {"role": "contributor"})


def test_invited_address_may_sign_up(channel: Channel, olga: User) -> None:
    assert not invitations.is_invited(ADDRESS)
    invite(channel, olga)
    assert invitations.is_invited(" Ada@Example.ORG ")
    assert not invitations.is_invited("other@example.org")
    assert not invitations.is_invited("")


def test_mails_to_one_address_have_a_limit(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mail-by-recipient": 2}
    invite(channel, olga)
    invite(channel, olga)
    with refused(429, "too_many", "Too many mails to this address: more than 2"):
        invite(channel, olga)


def test_invitations_of_one_person_have_a_limit(channel: Channel, olga: User, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"invitation-by-account": 1}
    invite(channel, olga)
    with refused(429, "too_many", "Too many invitations of yours: more than 1"):
        invite(channel, olga, "other@example.org")


def test_the_mail_has_the_link_and_the_queue_only_the_id(
    channel: Channel,
    olga: User,
    settings: Settings,
    sent_jobs: list[tuple[object, ...]],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"
    with django_capture_on_commit_callbacks(execute=True):
        invitation = invite(channel, olga)
    assert set(sent_jobs) == {(outbox.WAKE_UP,)}
    assert Outgoing.objects.get(task=invitations.SEND).args == [invitation.pk]
    tasks.tell_waiting()
    (sent,) = mail.outbox
    assert (sent.to, sent.subject) == ([ADDRESS], "You are invited to the channel demo as a contributor")
    assert "olga invites you to the channel demo on https://hub.example.org,\nas a contributor." in sent.body
    assert f"\n    https://hub.example.org/invitations/{invitations.secret_of(invitation)}\n" in sent.body


def test_one_that_is_gone_is_no_mail(channel: Channel, olga: User) -> None:
    invitation = invite(channel, olga)
    Invitation.objects.update(expires_at=timezone.now())
    tasks.send_invitation(invitation.pk)
    tasks.send_invitation(0)
    tasks.tell_waiting()
    assert mail.outbox == []


class Down(BaseEmailBackend):
    def send_messages(self, email_messages: Any) -> int:
        raise ConnectionRefusedError("Connection refused")


def test_unreachable_mail_server_is_retried_without_secrets_in_the_log(
    channel: Channel, olga: User, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Down"
    invitation = invite(channel, olga)
    tasks.tell_waiting()
    assert f"send_invitation({invitation.pk},) was not sent: Connection refused" in caplog.text
    assert Outgoing.objects.get().tries == 1
    assert invitations.secret_of(invitation) not in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_accepting_and_withdrawing_at_once_is_one_or_the_other(
    channel: Channel, olga: User, ada: User, tmp_path: Path, attempt: int
) -> None:
    invitation = invite(channel, olga)
    with shared_database(tmp_path):
        results = at_once(
            lambda: invitations.accept(user=ada, invitation=invitation) and None,
            lambda: invitations.accept(user=ada, invitation=invitation) and None,
            lambda: invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address=ADDRESS),
        )
        assert sorted(map(str, results)) == ["None", "no_invitation", "no_invitation"]
