"""Tests of ending accounts: channels and teams that only they own must be handed over first."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from channels_app.models import Channel, Member, Role, TeamMember, User
from channels_app.people import sole_owners
from tests.builders import make_channel, make_member, make_team, make_user
from tests.pages import events, messages, signed_in, text
from tests.refusals import refused
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db

USERS = "/admin/channels_app/user/"
ALONE = "The channel &#x27;demo&#x27; would have no owner."


@pytest.fixture
def root(db: None) -> Client:
    """Return the browser of an administrator."""
    return signed_in(make_user("root", is_superuser=True, is_staff=True))


def path_of(user: User, page: str = "change") -> str:
    return f"{USERS}{user.pk}/{page}/"


def form_of(user: User, **changes: str) -> dict[str, str]:
    """Return the form of a user as the page has it, with changed fields; "" unticks one."""
    form = {"username": user.username, "email": user.email, "is_active": "on", **changes}
    joined = user.date_joined
    form |= {"date_joined_0": f"{joined:%Y-%m-%d}", "date_joined_1": f"{joined:%H:%M:%S}"}
    return {name: value for name, value in form.items() if value}


def change(client: Client, user: User, **changes: str) -> object:
    return client.post(path_of(user), form_of(user, **changes))


def is_kept(user: User) -> bool:
    return User.objects.filter(pk=user.pk, is_active=True).exists()


def test_the_form_deactivates_no_last_owner(root: Client, channel: Channel, olga: User) -> None:
    page = text(root.post(path_of(olga), form_of(olga, is_active="")))
    assert f"{ALONE} Hand them over first" in page
    assert is_kept(olga)
    make_member(channel, make_user("jo"), Role.OWNER)
    assert root.post(path_of(olga), form_of(olga, is_active="")).status_code == 302
    assert not is_kept(olga)


def test_delete_page_lists_channels_and_teams_without_an_owner(root: Client, channel: Channel, olga: User) -> None:
    make_team("mappers", manager=olga)
    for answer in (root.get(path_of(olga, "delete")), root.post(path_of(olga, "delete"), {"post": "yes"})):
        page = text(answer)
        assert ALONE in page.replace("'demo'", "&#x27;demo&#x27;")
        assert "mappers" in page
        assert f"{olga.pk}/hand-over/" in page
    assert is_kept(olga)


def test_neither_does_the_action_delete_several(root: Client, channel: Channel, olga: User, sam: User) -> None:
    """Check two sole owners of a channel: they are deleted together or not at all."""
    make_member(channel, sam, Role.OWNER)
    form = {"action": "delete_selected", "_selected_action": [str(olga.pk), str(sam.pk)], "post": "yes"}
    page = text(root.post(USERS, form))
    assert "would have no owner" in page
    assert is_kept(olga)
    assert is_kept(sam)
    assert root.post(USERS, form | {"_selected_action": [str(sam.pk)]}).status_code == 302
    assert not User.objects.filter(pk=sam.pk).exists()
    assert ("user.delete", "sam") in [event[:2] for event in events()]


def test_owner_who_leaves_concurrently_is_noticed(channel: Channel, olga: User) -> None:
    with refused(409, "left_alone", "Hand them over first; nothing was changed."):
        sole_owners.check_may_end([olga])


@pytest.mark.parametrize("kind", ["deactivated owner", "team", "deleted channel", "maintainer"])
def test_other_owners_count_only_if_they_can_sign_in(channel: Channel, olga: User, kind: str) -> None:
    other = make_user("other", is_active=kind != "deactivated owner")
    if kind == "team":
        make_team("mappers", other)
    elif kind == "deleted channel":
        Channel.objects.update(deleted_at=timezone.now())
    else:
        make_member(channel, other, Role.MAINTAINER if kind == "maintainer" else Role.OWNER)
    [sentence] = sole_owners.sole_ownership([olga]).sentences()
    assert sentence.startswith("The channel 'demo' would have no owner")
    assert ("it is deleted but can be restored" in sentence) == (kind == "deleted channel")


def test_the_hub_keeps_an_administrator(root: Client, olga: User) -> None:
    admin = User.objects.get(username="root")
    all_rights = {"is_superuser": "on", "is_staff": "on"}
    for changes in ({"is_active": "", **all_rights}, {"is_staff": "on"}, {"is_superuser": "on"}):
        assert "The hub would have no administrator." in text(root.post(path_of(admin), form_of(admin, **changes)))
    assert "The hub would have no administrator." in text(root.post(path_of(admin, "delete"), {"post": "yes"}))
    admin.refresh_from_db()
    assert (admin.is_superuser, admin.is_staff, admin.is_active) == (True, True, True)


def test_superuser_without_staff_rights_is_no_remaining_administrator(root: Client) -> None:
    admin, other = User.objects.get(username="root"), make_user("other", is_superuser=True)
    assert sole_owners.sole_ownership([admin]).is_hub
    assert "The hub would have no administrator." in text(root.post(path_of(admin), form_of(admin, is_superuser="on")))
    assert not sole_owners.sole_ownership([other]).is_hub
    User.objects.filter(pk=other.pk).update(is_staff=True)
    assert not sole_owners.sole_ownership([admin]).is_hub


def test_administrator_who_leaves_concurrently_is_noticed(root: Client) -> None:
    with refused(409, "left_alone", "Make another user an administrator first."):
        sole_owners.check_an_administrator_stays(User.objects.get())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_concurrent_demotions_leave_one_administrator(tmp_path: Path, attempt: int) -> None:
    first, second = [make_user(name, is_superuser=True, is_staff=True) for name in ("first", "second")]
    one, other = signed_in(first), signed_in(second)
    with shared_database(tmp_path):
        at_once(lambda: change(one, second, is_staff="on"), lambda: change(other, first, is_staff="on"))
        assert at_once(User.objects.filter(is_superuser=True).count) == [1]


def test_all_is_handed_over_in_one_act(root: Client, channel: Channel, olga: User, sam: User) -> None:
    make_channel("second", owner=olga)
    shared = make_channel("shared", owner=olga)
    make_member(shared, make_user("jo"), Role.OWNER)
    make_team("mappers", manager=olga)
    page = text(root.get(path_of(olga, "hand-over")))
    assert "The channel &#x27;demo&#x27; would have no owner." in page
    assert "shared" not in page
    answer = root.post(path_of(olga, "hand-over"), {"username": "sam", "deactivate": "on"})
    assert answer.status_code == 302
    assert messages(answer) == ["Handed over to sam: the channel demo, the channel second, the team mappers."]
    owners = Member.objects.filter(role=Role.OWNER).values_list("channel__name", "user__username")
    assert sorted(owners) == [("demo", "sam"), ("second", "sam"), ("shared", "jo"), ("shared", "olga")]
    assert Member.objects.get(channel=channel, user=olga).role == Role.MAINTAINER
    assert TeamMember.objects.get(user=sam).is_manager
    assert not is_kept(olga)
    assert events() == [
        ("channel.transfer", "sam", {"before": "olga"}),
        ("channel.transfer", "sam", {"before": "olga"}),
        ("team.manager", "mappers", {"user": "sam", "is_manager": True}),
        ("user.change", "olga", {"changes": {"is_active": {"from": "True", "to": "False"}}}),
    ]


@pytest.mark.parametrize(
    ("username", "sentence"), [("olga", "&#x27;olga&#x27; can&#x27;t be their own"), ("x", "There is no user")]
)
def test_hand_over_to_an_invalid_user_is_refused(
    root: Client, channel: Channel, olga: User, username: str, sentence: str
) -> None:
    page = text(root.post(path_of(olga, "hand-over"), {"username": username, "deactivate": "on"}))
    assert sentence in page
    assert is_kept(olga)
    assert events() == []


def test_handing_over_is_for_administrators(olga: User, sam: User, channel: Channel) -> None:
    staff = signed_in(make_user("staff", is_staff=True))
    assert staff.post(path_of(olga, "hand-over"), {"username": "sam"}, follow=True).status_code == 403
    assert signed_in(sam).post(path_of(olga, "hand-over"), {"username": "sam"}).status_code == 302
    assert Member.objects.get().user == olga


def test_the_command_does_the_same(channel: Channel, olga: User, sam: User) -> None:
    out = StringIO()
    call_command("handover", "olga", "--to", "sam", "--deactivate", stdout=out)
    assert out.getvalue() == "Handed over to sam: the channel demo.\nolga is deactivated.\n"
    assert events()[0] == ("channel.transfer", "sam", {"before": "olga", "by": "manage.py"})
    for arguments, sentence in ((("x", "--to", "sam"), "no user 'x'"), (("sam", "--to", "x"), "no user 'x'")):
        with pytest.raises(CommandError, match=sentence):
            call_command("handover", *arguments)
    call_command("handover", "olga", "--to", "sam", stdout=out)
    assert out.getvalue().endswith("There was nothing to hand over.\n")
