"""gzip compression of pages, feeds and JSON."""

import gzip
from pathlib import Path

import pytest
from django.test import Client

from channels_app.access.permissions import Actor
from channels_app.models import User
from publishing.index import builds
from publishing.models import SubdirIndex
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, received

GZIP = {"Accept-Encoding": "gzip, br"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/docs/api", {}),
        ("/api/nothing", {"Accept": "text/html"}),
        ("/.well-known/openid-configuration", {}),
    ],
)
def test_text_is_compressed_for_clients_that_accept_it(path: str, headers: dict[str, str]) -> None:
    plain, answer = Client().get(path, headers=headers), Client().get(path, headers=headers | GZIP)
    assert (answer.status_code, answer["Content-Encoding"]) == (plain.status_code, "gzip")
    assert answer["Content-Length"] == str(len(answer.content))
    assert "Accept-Encoding" in answer["Vary"]
    assert len(gzip.decompress(answer.content)) == len(plain.content)
    assert len(answer.content) < len(plain.content)
    assert "Content-Encoding" not in plain.headers


@pytest.mark.django_db
def test_sizes_of_one_compressed_page_vary_at_random() -> None:
    assert len({Client().get("/docs/api", headers=GZIP)["Content-Length"] for _ in range(8)}) > 1


def test_channel_files_and_static_files_are_not_compressed_here(olga: User, tmp_path: Path) -> None:
    channel = make_channel("open", owner=olga, is_private=False)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(make_conda(tmp_path)))
    builds.build_until_current(SubdirIndex.objects.get(subdir="noarch").pk)
    for path in ("/open/noarch/demo-1.0-0.conda", "/open/noarch/repodata.json.zst", "/static/css/components.css"):
        for cookie in ({}, {"Cookie": "a=b"}):
            answer = Client().get(path, headers=GZIP | cookie)
            assert (answer.status_code, answer.get("Content-Encoding")) == (200, None)
