"""A virtual channel over an upstream: it lists what the upstream channel lists, and serves the same packages."""

import pytest
from django.test import Client

from channels_app.models import Channel, User
from publishing.models import CachedFile, Upstream
from tests.builders import make_artifact, make_channel
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_cache import BYTES, body
from tests.upstreams.test_sync import poll
from tests.virtual.channels import build_all, file_names, make_virtual

pytestmark = pytest.mark.django_db


def test_virtual_channel_follows_an_upstream_and_its_cooldown(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    make_virtual(olga, "mirror")
    build_all()
    assert file_names("all") == ["numpy-1.0-0.conda"]
    Upstream.objects.update(cooldown_days=7)
    forge.publish(forge.add_package("numpy", BYTES), record("numpy", "2.0"), record("zlib"))
    poll(mirror)
    build_all()
    assert file_names("all") == ["numpy-1.0-0.conda"]
    assert body(Client().get("/all/noarch/numpy-1.0-0.conda")) == BYTES
    assert CachedFile.objects.get().channel == mirror
    assert Client().get("/all/noarch/numpy-2.0-0.conda").status_code == 404


def test_own_name_before_an_upstream_is_never_fetched_from_it(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    make_artifact(make_channel("acme", owner=olga, is_private=False), "numpy", "0.1")
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    make_virtual(olga, "acme", "mirror")
    build_all()
    assert file_names("all") == ["numpy-0.1-0.conda"]
    assert Client().get("/all/noarch/numpy-1.0-0.conda").status_code == 404
    assert not CachedFile.objects.exists()
