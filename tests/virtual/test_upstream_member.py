"""An upstream as a member of a virtual channel: its index, and packages that are fetched at their first request."""

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import ChannelKind, User
from publishing.models import Upstream
from tests.builders import make_artifact, make_channel
from tests.sample_channel import found
from tests.upstreams.fake import FakeUpstream, running
from tests.upstreams.fetches_in_tests import fetch_in_requests
from tests.upstreams.test_sync import poll
from tests.virtual.channels import build_all, file_names, make_virtual, shards

pytestmark = pytest.mark.django_db
BYTES = b"the package" * 1000


def test_upstream_brings_names_that_no_earlier_member_has(
    olga: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_in_requests(monkeypatch)
    make_artifact(make_channel("acme", owner=olga, is_private=False), "acme-tool")
    mirror = make_channel("mirror", owner=olga, is_private=False, kind=ChannelKind.UPSTREAM)
    virtual = make_virtual(olga, "acme", "mirror")
    with running(FakeUpstream()) as forge:
        settings.HUB_INTERNAL_HOSTS = [forge.url.removeprefix("http://")]
        Upstream.objects.create(channel=mirror, url=forge.url, subdirs=["noarch"])
        stranger = forge.add_package("acme-tool", b"stranger", version="99")
        forge.publish(forge.add_package("numpy", BYTES), stranger)
        poll(mirror)
        build_all()
        answer = Client().get("/all/noarch/numpy-1.0-0.conda")
        assert (answer.status_code, b"".join(answer)) == (200, BYTES)
    assert Client().get("/all/noarch/acme-tool-99-0.conda").status_code == 404
    assert file_names("all") == ["acme-tool-1.0-0.conda", "numpy-1.0-0.conda"]
    path = f"noarch/shards/{shards('mirror')['numpy']}.msgpack.zst"
    assert b"".join(Client().get(f"/all/{path}")) == b"".join(Client().get(f"/mirror/{path}"))
    assert found(virtual) == []
