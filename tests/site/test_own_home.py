"""The home page of a signed-in user: channels, uploads, keys, invitations, and problems for administrators."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.html import strip_tags

from channels_app.access.permissions import Actor
from channels_app.models import ApiKey, Artifact, Channel, Role, User
from channels_app.packages import packages
from channels_app.people import invitations
from publishing.models import FailedJob
from tests.builders import make_artifact, make_channel, make_key, make_member, make_user
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


def home(user: User) -> str:
    """Return the text of the page, without the last packages of the hub."""
    return " ".join(strip_tags(text(signed_in(user).get("/"))).partition("Recently updated")[0].split())


def upload(channel: Channel, user: User, name: str, **fields: object) -> Artifact:
    artifact = make_artifact(channel, name, uploaded_by=user, **fields)  # type: ignore[arg-type]
    packages.refresh(artifact.package)
    return artifact


def test_home_of_a_new_user_has_first_steps(sam: User) -> None:
    shown = home(sam)
    assert "First steps" in shown
    assert "Prepare the hub for others" not in shown
    assert "Your channels" not in shown
    assert "Prepare the hub for others" in home(make_user("root", is_superuser=True))
    assert "First steps" not in text(Client().get("/"))


def test_home_lists_own_channels_and_uploads(channel: Channel, olga: User, sam: User) -> None:
    make_channel("theirs", owner=sam, is_private=False)
    upload(channel, olga, "mine")
    upload(channel, sam, "of-sam")
    upload(channel, olga, "gone", removal="deleted")
    upload(make_channel("lost", owner=sam), olga, "unreadable")
    own = home(olga)
    assert "Your channels" in own
    assert "Owner" in own
    assert "demo · noarch/mine-1.0-0.conda" in own
    for hidden in ("theirs", "of-sam", "gone", "unreadable", "First steps"):
        assert hidden not in own


def test_home_shows_keys_that_expire_soon(channel: Channel, olga: User) -> None:
    for days, name in ((5, "soon"), (100, "later")):
        make_key(olga)
        ApiKey.objects.filter(name="test").update(name=name, expires_at=timezone.now() + timedelta(days=days))
    shown = home(olga)
    assert "1 API key will expire soon: soon on" in shown
    assert "later" not in shown


def test_home_shows_invitations(channel: Channel, olga: User, sam: User) -> None:
    invitations.invite(actor=Actor(user=olga), channel=channel, username="sam", role=Role.VIEWER)
    assert "1 invitation for you: demo." in home(sam)
    assert "invitation" not in home(olga)


def test_home_of_an_administrator_shows_problems(olga: User) -> None:
    root = make_user("root", is_superuser=True)
    assert "waits for an administrator" not in home(root)
    FailedJob.objects.create(task="a", args=[], error="x")
    FailedJob.objects.create(task="b", args=[], error="x")
    make_channel("full", quota_warned_at=timezone.now())
    assert "This waits for an administrator: 2 failed jobs, 1 channel that is nearly full." in home(root)
    assert "waits for an administrator" not in home(olga)


def test_home_costs_the_same_for_any_number(channel: Channel, olga: User) -> None:
    browser = signed_in(olga)
    upload(channel, olga, "first")

    def cost() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert browser.get("/").status_code == 200
        return len(queries)

    before = cost()
    for number in range(8):
        other = make_channel(f"channel-{number}")
        make_member(other, olga, Role.MAINTAINER)
        upload(other, olga, f"package-{number}")
    assert cost() == before
