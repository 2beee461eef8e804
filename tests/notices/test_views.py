"""The page of a channel's notices, and the notices on the channel's page."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.models import Channel, User
from publishing.models import ChannelNotice
from tests.browsing import page
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db
PAGE = "/channels/demo/settings/notices"


@pytest.fixture
def owner(olga: User) -> Client:
    return signed_in(olga)


def form(action: str = "save", **values: str) -> dict[str, str]:
    last_day = (timezone.now() + timedelta(days=3)).date().isoformat()
    return {"action": action, "level": "warning", "message": "Move to\n<b>2.0</b>.", "last_day": last_day} | values


def test_notice_is_previewed_saved_shown_changed_and_removed(channel: Channel, owner: Client) -> None:
    preview = text(owner.post(PAGE, form("preview")))
    assert "[warning]" in preview
    assert not ChannelNotice.objects.exists()
    assert owner.post(PAGE, form()).status_code == 302
    for path in (PAGE, "/channels/demo"):
        assert "Move to<br>&lt;b&gt;2.0&lt;/b&gt;." in page(owner, path)
    number = ChannelNotice.objects.get().pk
    assert "Move to" in page(owner, f"{PAGE}?edit={number}")
    assert owner.post(f"{PAGE}?edit={number}", form(message="Stay.")).status_code == 302
    assert ChannelNotice.objects.get().message == "Stay."
    assert owner.post(PAGE, {"action": "remove", "notice": str(number)}).status_code == 302
    assert not ChannelNotice.objects.exists()


def test_notice_works_until_the_end_of_its_last_day(channel: Channel, owner: Client) -> None:
    today = timezone.now().date()
    owner.post(PAGE, form(last_day=today.isoformat()))
    assert ChannelNotice.objects.get().expires_at.isoformat() == f"{today}T23:59:59+00:00"


@pytest.mark.parametrize("values", [{"message": ""}, {"level": "x"}, {"last_day": "2020-01-01"}, {"message": "\u202e"}])
def test_bad_notice_is_refused_in_the_form(channel: Channel, owner: Client, values: dict[str, str]) -> None:
    answer = owner.post(PAGE, form(**values))
    assert answer.status_code == 200
    assert "alert error" in answer.content.decode()
    assert not ChannelNotice.objects.exists()


@pytest.mark.parametrize("number", ["0", "x", "\u00b2", "9" * 30])
def test_missing_notice_is_404(channel: Channel, owner: Client, number: str) -> None:
    assert owner.get(f"{PAGE}?edit={number}").status_code == 404
    assert owner.post(PAGE, {"action": "remove", "notice": number}).status_code == 404


def test_expired_notice_is_not_shown(channel: Channel, owner: Client) -> None:
    owner.post(PAGE, form())
    ChannelNotice.objects.update(expires_at=timezone.now())
    for path in (PAGE, "/channels/demo"):
        assert "Move to" not in page(owner, path)
