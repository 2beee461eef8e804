"""Tests of packages per day: they count for the payer at upload time, also after a removal or a transfer."""

from pathlib import Path

import pytest
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, Role, User
from channels_app.people import members
from channels_app.quotas import quotas
from publishing.removal import removal
from tests.builders import make_channel, make_member
from tests.quotas.test_quotas import code_of, upload

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quota(settings: Settings) -> None:
    settings.HUB_USER_PACKAGES_A_DAY = 2


def test_deleted_packages_of_today_still_count(channel: Channel, olga: User, tmp_path: Path) -> None:
    """Regression: by deleting and releasing each file, a user could upload any number of packages a day."""
    for version in ("1", "2"):
        artifact = upload(channel, olga, tmp_path, version=version)
        removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
        removal.release(actor=Actor(user=olga), artifact=artifact)
    assert code_of(lambda: upload(channel, olga, tmp_path, version="3")) == "quota_packages"
    quotas.delete_old()
    assert code_of(lambda: upload(channel, olga, tmp_path, version="3")) == "quota_packages"


def test_packages_of_today_count_for_their_payer_at_upload(
    channel: Channel, olga: User, sam: User, tmp_path: Path
) -> None:
    """Regression: a transferred channel's packages of the day blocked the uploads of the new owner's CI."""
    for version in ("1", "2"):
        upload(channel, olga, tmp_path, version=version)
    make_member(channel, sam, Role.OWNER)
    members.leave(actor=Actor(user=olga), channel=channel)
    own, other = make_channel("own", owner=sam), make_channel("other", owner=olga)
    upload(own, sam, tmp_path)
    upload(channel, sam, tmp_path, version="3")
    assert code_of(lambda: upload(own, sam, tmp_path, version="2")) == "quota_packages"
    assert code_of(lambda: upload(other, olga, tmp_path)) == "quota_packages"
