"""Filters of an upstream channel: which records they hide, what a preview says, and what comes back."""

from typing import Any

import pytest

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from publishing.upstreams import sync, upstreams
from publishing.upstreams.filtering import FilterTexts
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import listed, poll

pytestmark = pytest.mark.django_db
PATH = "channels/mirror/upstream/filters"


def save(channel: Channel, olga: User, **texts: Any) -> None:
    """Save filters and let the job apply them."""
    upstreams.change(actor=Actor(olga), channel=channel, filters=FilterTexts(**texts))
    assert sync.sync(channel.pk)


def test_filters_hide_records_without_a_request_and_let_them_come_back(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"), record("numpy", "2.0"), record("zlib", license="GPL-3.0-or-later"))
    poll(mirror)
    before = listed(mirror)
    forge.requests.clear()
    save(mirror, olga, exclude=["numpy <2"], excluded_licenses=["*GPL*"])
    assert list(listed(mirror)) == ["numpy-2.0-0.conda"]
    save(mirror, olga)
    assert listed(mirror) == before
    assert not forge.requests
