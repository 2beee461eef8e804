"""Links in the answer to an upload."""

import pytest
from django.urls import reverse

from channels_app.models import Artifact, Channel
from publishing.uploads import links


@pytest.mark.parametrize("file_name", ["a-1.0-0.conda", "a-1!2.0+x-0.conda", "a-1.0-%41~é =&'.tar.bz2"])
def test_links_are_those_of_the_routes(file_name: str) -> None:
    channel = Channel(name="geo.tools_2-x")
    artifact = Artifact(channel=channel, subdir="linux-64", file_name=file_name, sha256="0" * 64)
    assert links.headers(artifact) == {
        "Location": reverse("artifact", args=[channel.name, "linux-64", file_name]),
        "Link": f'<{reverse("rest:channel-wait", args=[channel.name])}?sha256={"0" * 64}>; rel="status"',
    }
