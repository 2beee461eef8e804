"""The Artifactory protocol: `rattler-build upload artifactory`, and `curl -T` to the address of the file.

Source: conda/rattler, crates/rattler_upload/src/upload/mod.rs. The client sends the body in chunks, without a length.
It hides the body of an error, while curl shows it. People also have `/artifactory/CHANNEL` (for uploads) and
`/artifactory/api/conda/CHANNEL` (for reading) in their configuration, so both are aliases of `/CHANNEL`.
"""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt

from hub.http.decorators import bounds_own_body
from hub.protocols import Protocol, Upload
from publishing.downloads.addresses import alias_file, below_channel
from publishing.protocols import upload_check
from publishing.protocols.steps import publish_body


class SubdirConverter(StringConverter):
    """A subdir, in the path of a package."""

    regex = "(?:noarch|[a-z0-9]+-[a-z0-9]+)"


class PackageConverter(StringConverter):
    """The file name of a package. Other files of a channel have none of these endings."""

    regex = r"[^/]+\.(?:conda|tar\.bz2)"


register_converter(SubdirConverter, "subdir")
register_converter(PackageConverter, "package")


@csrf_exempt
@bounds_own_body
def upload(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponseBase:
    """Handle `PUT …/{channel}/{subdir}/{file}[?force=true]` with the bare bytes. Other methods read the file.

    JFrog's tools send the checksum as X-Checksum-Sha256.
    """
    if request.method != "PUT":
        return below_channel(request, channel, f"{subdir}/{file_name}")
    sha256 = request.headers.get("X-Checksum-Sha256", "")
    return publish_body(request, channel, subdir=subdir, file_name=file_name, claimed_sha256=sha256)


def upload_below(prefix: str, name: str) -> Upload:
    return Upload(
        route=f"{prefix}<str:channel>/<subdir:subdir>/<package:file_name>",
        name=name,
        method="PUT",
        view=upload,
        check=upload_check.by_key,
    )


ALIASES = {"artifactory/api/conda/": "artifactory-conda", "artifactory/": "artifactory"}
PROTOCOL = Protocol(
    uploads=(
        upload_below("", "package-file"),
        *(upload_below(prefix, f"{name}-upload") for prefix, name in ALIASES.items()),
    ),
    routes=tuple(
        path(f"{prefix}<str:channel>/<path:path>", alias_file, name=f"{name}-file") for prefix, name in ALIASES.items()
    ),
    path_key_routes=frozenset(
        {"package-file", *(f"{name}-{kind}" for name in ALIASES.values() for kind in ("upload", "file"))}
    ),
)
