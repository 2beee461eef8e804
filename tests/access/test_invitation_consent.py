"""Tests of invitations of users and teams: they need consent, and the inviter learns of no account."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor, permissions
from channels_app.models import Channel, Invitation, Member, Outgoing, Role, Team, TeamMember, User
from channels_app.people import invitations, members
from hub.errors import HubError
from tests.builders import make_address, make_channel, make_member, make_team, make_user
from tests.mailbox import arrived
from tests.pages import events, messages, signed_in, text
from tests.refusals import refused

pytestmark = pytest.mark.django_db

MINE = "/account/invitations"
MEMBERS = "/channels/demo/settings/members"


@pytest.fixture(autouse=True)
def addresses(olga: User, max_: User, sam: User) -> None:
    for user in User.objects.all():
        User.objects.filter(pk=user.pk).update(email=f"{user}@example.org")


@pytest.fixture
def team(sam: User) -> Team:
    return make_team("mappers", manager=sam)


def ask(channel: Channel, by: User, role: str = Role.VIEWER, **who: str) -> Invitation:
    return invitations.invite(actor=Actor(user=by), channel=channel, role=role, **who)


def test_user_becomes_a_member_by_accepting(channel: Channel, olga: User, max_: User) -> None:
    ask(channel, olga, Role.CONTRIBUTOR, username="max")
    assert permissions(Actor(user=max_), channel) == frozenset()
    client = signed_in(max_)
    page = text(client.get(MINE))
    assert "The channel demo" in page
    assert "olga invites you, until" in page
    answer = client.post(MINE, {"action": "accept", "invitation": str(Invitation.objects.get().pk)})
    assert (answer.headers["Location"], messages(answer)) == (
        "/channels/demo",
        ["You are a member of demo now: contributor."],
    )
    assert Member.objects.get(user=max_).role == Role.CONTRIBUTOR
    assert events() == [
        ("invitation.send", "max", {"role": "contributor"}),
        ("invitation.accept", "max", {"role": "contributor"}),
    ]
    assert "No pending invitations" in text(client.get(MINE))


def test_a_team_is_a_member_once_a_manager_accepts(channel: Channel, olga: User, max_: User, team: Team) -> None:
    TeamMember.objects.create(team=team, user=max_)
    invitation = ask(channel, olga, team="mappers")
    sam = User.objects.get(username="sam")
    with refused(403, "not_your_team", "Only managers of the team 'mappers' can answer this invitation."):
        invitations.accept(user=max_, invitation=invitation)
    assert "demo" not in text(signed_in(max_).get(MINE)).partition("<main")[2]
    assert "olga invites your team mappers" in text(signed_in(sam).get(MINE))
    answer = signed_in(sam).post(MINE, {"action": "accept", "invitation": str(invitation.pk)})
    assert messages(answer) == ["Team mappers is a member of demo now: viewer."]
    assert permissions(Actor(user=max_), channel)
    with refused(400, "no_team_owns", "team mappers can't own 'demo'"):
        ask(channel, olga, Role.OWNER, team="mappers")


def test_the_mail_leads_there_and_the_link_is_for_that_account_alone(channel: Channel, olga: User, sam: User) -> None:
    invitation = ask(channel, olga, username="max")
    mail = arrived()[0]
    assert (mail.to, mail.subject) == (["max@example.org"], "You are invited to the channel demo as a viewer")
    assert "only for the account max" in mail.body
    link = f"/invitations/{invitations.secret_of(invitation)}"
    assert link in mail.body
    assert "This invitation is for max, and you are signed in as" in text(signed_in(sam).get(link, follow=True))
    with refused(403, "not_you", "This invitation is for max"):
        invitations.accept(user=sam, invitation=invitation)


@pytest.mark.parametrize(
    ("there_is", "there_is_none"),
    [
        ({"username": "max"}, {"username": "nobody"}),
        ({"username": "max"}, {"username": "gone"}),
        ({"username": "max"}, {"username": "MAX"}),
        ({"team": "mappers"}, {"team": "divers"}),
        ({"email": "max@example.org"}, {"email": "nobody@example.org"}),
    ],
)
def test_invitation_discloses_no_existing_user(
    channel: Channel, olga: User, max_: User, team: Team, there_is: dict[str, str], there_is_none: dict[str, str]
) -> None:
    make_user("gone", is_active=False)
    make_address(max_, "max@example.org")
    pages = []
    for who in (there_is, there_is_none):
        client, [name] = signed_in(olga), who.values()
        answer = client.post(MEMBERS, {"action": "add", "role": "viewer", **who})
        page = text(client.get(f"{MEMBERS}?find={name}")).replace(name, "WHO")
        page = re.sub(r"/invitations/[\w-]{43}", "", page)
        pending = page.partition('id="pending"')[2].partition("</section>")[0]
        pages.append(
            (messages(answer)[0].replace(name, "WHO"), pending.partition("<form")[0], Outgoing.objects.count())
        )
        Invitation.objects.all().delete()
        Outgoing.objects.all().delete()
    assert pages[0] == pages[1]


def test_name_registered_after_the_invitation_gives_no_access(channel: Channel, olga: User) -> None:
    invitation = ask(channel, olga, username="later")
    later = make_user("later")
    assert not invitations.mine(later)
    with refused(403, "not_you", "This invitation is for later"):
        invitations.accept(user=later, invitation=invitation)


def test_declined_invitation_blocks_a_new_one_for_a_while(channel: Channel, olga: User, max_: User) -> None:
    client = signed_in(max_)
    answer = client.post(MINE, {"action": "decline", "invitation": str(ask(channel, olga, username="max").pk)})
    assert messages(answer) == ["You have declined the invitation to demo."]
    with refused(409, "declined", "max declined an invitation and can't be invited again until"):
        ask(channel, olga, Role.OWNER, username="max")
    assert "No pending invitations" in text(client.get(MINE))
    assert "Pending invitations" not in text(signed_in(olga).get(MEMBERS))
    with refused(404, "no_invitation", "There is no pending invitation of max to 'demo'"):
        invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address="max")
    invitations.delete_expired()
    assert Invitation.objects.exists()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    ask(channel, olga, username="max")
    assert invitations.mine(max_).count() == 1


def test_declined_invitation_of_a_team_or_address_blocks_a_new_one(
    channel: Channel, olga: User, sam: User, max_: User, team: Team
) -> None:
    make_address(max_, "max@example.org")
    invitations.decline(user=sam, invitation=ask(channel, olga, team="mappers"))
    invitations.decline(user=max_, invitation=ask(channel, olga, email="max@example.org"))
    invitations.decline(user=max_, invitation=invitations.invite_into_team(user=sam, team=team, name_or_address="max"))
    for who in ({"team": "mappers"}, {"email": "MAX@example.org"}):
        with refused(409, "declined", "declined an invitation"):
            ask(channel, olga, **who)
    with refused(409, "declined", "max declined an invitation"):
        invitations.invite_into_team(user=sam, team=team, name_or_address="max")
    assert events()[-1][:2] == ("team.decline", "mappers")


def test_one_answers_ones_own_invitations_alone(channel: Channel, olga: User, sam: User) -> None:
    invitation = ask(channel, olga, username="max")
    for which in (str(invitation.pk), "0", "x", "", "9" * 30):
        answer = signed_in(sam).post(MINE, {"action": "accept", "invitation": which})
        assert messages(answer) == [
            "The invitation is no longer valid: it was used, withdrawn or sent again, or it has expired."
        ]
    assert Member.objects.count() == 1


@pytest.mark.parametrize("end", ["withdrawn", "inviter", "expired", "deleted", "team manager"])
def test_invitation_without_its_channel_team_or_right_ends(
    channel: Channel, olga: User, max_: User, sam: User, team: Team, end: str
) -> None:
    make_member(channel, sam, Role.OWNER)
    into = invitations.invite_into_team(user=sam, team=team, name_or_address="max")
    invitation = into if end == "team manager" else ask(channel, sam, username="max")
    if end == "withdrawn":
        invitations.withdraw(actor=Actor(user=olga), channel=channel, name_or_address="max")
    elif end == "inviter":
        members.remove(actor=Actor(user=olga), channel=channel, username="sam")
    elif end == "expired":
        Invitation.objects.update(expires_at=timezone.now())
    elif end == "deleted":
        Channel.objects.update(deleted_at=timezone.now())
    else:
        TeamMember.objects.create(team=team, user=olga, is_manager=True)
        TeamMember.objects.filter(user=sam).delete()
    with pytest.raises(HubError) as caught:
        invitations.accept(user=max_, invitation=invitation)
    assert caught.value.code == ("inviter_may_not" if end in ("inviter", "team manager") else "no_invitation")
    assert not Member.objects.filter(user=max_).exists()


def test_member_gets_no_invitation(channel: Channel, olga: User, max_: User, team: Team, sam: User) -> None:
    make_member(channel, max_)
    with refused(409, "is_member", "max is a member already: viewer."):
        ask(channel, olga, username="max")
    with refused(409, "in_team", "sam is in the team 'mappers' already."):
        invitations.invite_into_team(user=sam, team=team, name_or_address="sam")


@pytest.mark.parametrize(
    ("limit", "again", "sentence"),
    [
        ("invitation-by-account", "other", "Too many invitations of yours"),
        ("invitation-by-day", "other", "Too many invitations of yours"),
        ("invitation-by-pair", "MAX", "Too many invitations of MAX by you"),
        ("invitation-by-recipient", "MAX", "Too many invitations of MAX: "),
    ],
)
def test_invitations_beyond_a_rate_limit_get_429(
    channel: Channel, olga: User, settings: Settings, limit: str, again: str, sentence: str
) -> None:
    settings.HUB_RATE_LIMITS = {limit: 1}
    ask(channel, olga, username="max")
    with refused(429, "too_many", sentence):
        ask(channel, olga, username=again)


@pytest.mark.parametrize("who", [{"username": "max"}, {"email": "max@example.org"}])
def test_limit_of_one_inviter_leaves_others_unlimited(
    channel: Channel, olga: User, sam: User, who: dict[str, str]
) -> None:
    """Regression: ten invitations by one user used up all that a person could get in a day, or by mail in an hour."""
    sams = make_channel("sams", owner=sam)
    for _ in range(10):
        with suppress(HubError):
            ask(sams, sam, **who)
    ask(channel, olga, **who)


def test_only_team_managers_invite_into_the_team(olga: User, team: Team) -> None:
    with refused(403, "managers_only", "Only managers of the team 'mappers' may do that"):
        invitations.invite_into_team(user=olga, team=team, name_or_address="max")
    with refused(403, "managers_only", "Only managers"):
        invitations.withdraw_from_team(user=olga, team=team, name_or_address="max")


def test_list_shows_the_outcome_of_the_invitation_mail(channel: Channel, olga: User, settings: Settings) -> None:
    client, email = signed_in(olga), "ada@example.org"
    sent = client.post(MEMBERS, {"action": "add", "email": email, "role": "viewer"})
    assert messages(sent) == [
        f"{email} is invited. The mail is sent in a moment; the list below shows whether that succeeded."
    ]
    assert "The mail is queued." in text(client.get(MEMBERS))
    invitation = Invitation.objects.get()
    assert f"/invitations/{invitations.secret_of(invitation)}" in text(client.get(MEMBERS))
    working, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "tests.people.test_invitations.Down"
    arrived()
    assert "The mail is not sent yet: Connection refused" in text(client.get(MEMBERS))
    settings.EMAIL_BACKEND = working
    Outgoing.objects.update(due_at=timezone.now())
    assert len(arrived()) == 2  # the owners are notified of the invitation, too
    assert "The mail was sent <time" in text(client.get(MEMBERS))
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    again = client.post(MEMBERS, {"action": "add", "email": email, "role": "viewer"})
    assert messages(again)[-1] == (
        f"{email} is invited. No mail is sent, since no mail server is configured: send them the link below."
    )
    assert "No mail was sent: no mail server is configured." in text(client.get(MEMBERS))
    found = text(client.get(f"{MEMBERS}?find=eve@example.org"))
    assert "This hub sends no mail: you get a link to pass on" in found
    assert "Gets a mail" not in found
