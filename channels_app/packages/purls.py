"""Package URLs of artifacts, by which lists of software and of vulnerabilities name them (CEP 49)."""

from urllib.parse import quote

from django.conf import settings

from channels_app.models import Artifact


def purl(artifact: Artifact) -> str:
    """Return the package URL of one file: the place of its channel, and its checksum."""
    place = (artifact.channel.name, artifact.package.name)
    qualifiers = {
        "build": quote(artifact.build, safe=""),
        "checksum": f"sha256:{artifact.sha256}",
        "repository_url": quote(settings.HUB_PUBLIC_URL, safe=""),
        "subdir": artifact.subdir,
        "type": "conda" if artifact.file_name.endswith(".conda") else "tar.bz2",
    }
    listed = "&".join(f"{name}={value}" for name, value in qualifiers.items())
    return f"pkg:conda/{'/'.join(place)}@{quote(artifact.version, safe='')}?{listed}"
