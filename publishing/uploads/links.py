"""Headers of the answer to an upload: where the file is, and where to wait until it is indexed."""

from urllib.parse import urlencode

from django.urls import reverse

from channels_app.models import Artifact


def headers(artifact: Artifact) -> dict[str, str]:
    """Return `Location`, the artifact's page, and `Link` with the relation `status` (RFC 8631); without a query."""
    channel = artifact.channel.name
    wait = f"{reverse('rest:channel-wait', args=[channel])}?{urlencode({'sha256': artifact.sha256})}"
    return {
        "Location": reverse("artifact", args=[channel, artifact.subdir, artifact.file_name]),
        "Link": f'<{wait}>; rel="status"',
    }
