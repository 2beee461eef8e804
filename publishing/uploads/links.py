"""Headers of the answer to an upload: where the file is, and where to wait until it is indexed."""

from urllib.parse import quote

from channels_app.models import Artifact

# Characters that stay in a path, as in URLs by django.urls.reverse().
UNQUOTED = "!$&'()*+,;=:@~"


def headers(artifact: Artifact) -> dict[str, str]:
    """Return `Location`, the artifact's page, and `Link` with the relation `status` (RFC 8631).

    They make no query, and no search among the routes, which would take a hundredth of an upload.
    """
    channel, file_name = artifact.channel.name, quote(artifact.file_name, safe=UNQUOTED)
    return {
        "Location": f"/channels/{channel}/artifacts/{artifact.subdir}/{file_name}",
        "Link": f'</api/v1/channels/{channel}/wait?sha256={artifact.sha256}>; rel="status"',
    }
